"""How a station looks: every check is written down, and all that fail are named together."""

from __future__ import annotations

from dataclasses import dataclass, field

from sealift.errors import RefusedError
from sealift.model.evidence import Gate


class GateRefusedError(RefusedError):
    """A gate looked and said no; ``gates`` holds everything it looked at."""

    def __init__(self, gates: tuple[Gate, ...], *, means: str, next_step: str) -> None:
        refused = [g for g in gates if g.verdict in ("refused", "not-checked")]
        lines = "\n".join(f"  {g.verdict}: {g.detail}" for g in refused)
        super().__init__(
            f"{refused[0].station} refused {refused[0].subject}\n{lines}", means=means, next_step=next_step
        )
        self.gates = gates


@dataclass
class Looks:
    """The checks of one station about one subject."""

    station: str
    subject: str
    gates: list[Gate] = field(default_factory=list)

    def equal(self, what: str, *, expected: object, got: object) -> None:
        """Look whether two things are the same."""
        if expected == got:
            self.passed(f"{what}: {got}")
        else:
            self.refused(f"{what}: expected {expected}, got {got}")

    def true(self, holds: bool, good: str, bad: str) -> None:
        """Look whether something holds."""
        if holds:
            self.passed(good)
        else:
            self.refused(bad)

    def passed(self, detail: str) -> None:
        """Write down what was looked at and is right."""
        self._add("pass", detail)

    def refused(self, detail: str) -> None:
        """Write down what is wrong."""
        self._add("refused", detail)

    def excused(self, detail: str) -> None:
        """Write down what an exception allows."""
        self._add("excused", detail)

    def not_checked(self, detail: str) -> None:
        """Write down what could not be looked at: not a pass."""
        self._add("not-checked", detail)

    def done(self, *, means: str, next_step: str, allow_not_checked: bool = False) -> tuple[Gate, ...]:
        """Return what was looked at; raise GateRefusedError when it is wrong, or was nothing."""
        gates = tuple(self.gates)
        bad = {"refused"} if allow_not_checked else {"refused", "not-checked"}
        if not gates:
            self.not_checked("nothing was looked at")
            gates = tuple(self.gates)
        if any(g.verdict in bad for g in gates):
            raise GateRefusedError(gates, means=means, next_step=next_step)
        return gates

    def _add(self, verdict: str, detail: str) -> None:
        self.gates.append(
            Gate(station=self.station, subject=self.subject, verdict=verdict, detail=detail)  # type: ignore[arg-type]
        )
