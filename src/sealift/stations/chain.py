"""The chain of evidence: each file names, by hash, the plan and the evidence that it was made from.

A station begins with it. What other jobs left is followed back to the plan: every hash, every file that
evidence vouches for, and every verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from sealift.model.codec import from_json
from sealift.model.evidence import File, Gate
from sealift.model.names import Digest, RunPath
from sealift.model.run import PLAN, RunFolder
from sealift.stations.gate import Looks

# Their work is no gate, or what they say is looked at again by those that stand on it.
NO_GATES = frozenset({"compile", "sign"})


class _Claim(msgspec.Struct, frozen=True):
    """What all evidence has in common."""

    gates: tuple[Gate, ...] = ()
    made_from: tuple[File, ...] = ()
    files: tuple[File, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The evidence of one run folder; ``needs`` has each node, ``station:subject``, and those it stands on.

    ``may_not_check`` names the stations that may leave something unchecked, by the plan's own settings.
    """

    run: RunFolder
    needs: Mapping[str, tuple[str, ...]]
    may_not_check: Collection[str] = ()
    _read: dict[str, tuple[Digest, _Claim]] = field(default_factory=dict, init=False)

    def check(
        self, node: str, needs: tuple[str, ...] | None = None, sealed: Digest | None = None
    ) -> tuple[File, ...]:
        """Follow everything that a node ``needs``; return the hashes of what it is made from.

        With ``sealed``, what was made before push must be what its builder handed on. Raises
        GateRefusedError with all that is wrong, and UsageError for evidence that is missing.
        """
        needs = self.needs[node] if needs is None else needs
        station, _, subject = node.partition(":")
        looks, plan = Looks(station, subject), self.run.digest(PLAN, "sealift plan")
        for below in dict.fromkeys(self._below(needs)):
            for words in self._odd(below, plan):
                looks.refused(words)
        if sealed is not None:
            looks.equal("the evidence that the builder handed on", expected=sealed, got=self.seal())
        if looks.gates:
            looks.done(
                means="what this job was handed is not what passed before it, or is from another run",
                next_step="sealift release",
            )
        return tuple(File(path=p, sha256=d) for p, d in self._made_from(needs, plan).items())

    def seal(self, before: str = "push") -> Digest:
        """Hash the plan and all evidence that a station's nodes stand on: one value for a whole folder."""
        needs = tuple(node for node in self.needs if node.startswith(f"{before}:"))
        found = {PLAN: self.run.digest(PLAN, "sealift plan")} | {
            self._name(node): self._claim(node)[0] for node in self._below(needs) if node not in needs
        }
        return Digest.of("".join(f"{d.hex}  {name}\n" for name, d in sorted(found.items())).encode())

    def _below(self, needs: tuple[str, ...]) -> Iterator[str]:
        for node in needs:
            yield node
            yield from self._below(self.needs[node])

    def _odd(self, node: str, plan: Digest) -> Iterator[str]:
        """Say what keeps one piece of evidence from being believed."""
        station, _, subject = node.partition(":")
        name, claim = self._name(node), self._claim(node)[1]
        wanted = self._made_from(self.needs[node], plan)
        told = {file.path: file.sha256 for file in claim.made_from}
        for path in sorted({*wanted, *told}):
            if (expected := wanted.get(path)) != (got := told.get(path)):
                yield f"{name} was made from {path}: expected {expected or 'nothing'}, got {got or 'nothing'}"
        for file in claim.files:
            if (found := self.run.digest(file.path, f"sealift {station}")) != file.sha256:
                yield f"{file.path} is not what {name} vouches for: expected {file.sha256}, got {found}"
        if not claim.gates and station not in NO_GATES:
            yield f"{name} says of nothing that it was looked at"
        if self.run.refused(station, subject):
            yield f"{name} lies beside a refusal"
        allowed = {"pass", "excused"} | ({"not-checked"} if station in self.may_not_check else set())
        for gate in claim.gates:
            if gate.station != station:
                yield f"{name} tells of {gate.station}"
            if gate.verdict not in allowed:
                yield f"{name} says {gate.verdict}: {gate.detail}"

    def _made_from(self, needs: tuple[str, ...], plan: Digest) -> dict[RunPath, Digest]:
        return {PLAN: plan} | {self._name(node): self._claim(node)[0] for node in needs}

    def _name(self, node: str) -> RunPath:
        station, _, subject = node.partition(":")
        return self.run.evidence_name(station, subject)

    def _claim(self, node: str) -> tuple[Digest, _Claim]:
        if node not in self._read:
            name = self._name(node)
            raw = self.run.bytes_of(name, f"sealift {node.partition(':')[0]}")
            self._read[node] = Digest.of(raw), from_json(raw, _Claim, source=str(self.run.root / name))
        return self._read[node]
