"""How a station looks: every check is written down, and all that fail are named together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sealift.errors import OutsideError, RefusedError
from sealift.model.evidence import Gate
from sealift.model.exceptions import Held
from sealift.texts import encodable


class GateRefusedError(RefusedError):
    """A gate looked and said no; ``gates`` holds everything it looked at."""

    def __init__(self, gates: tuple[Gate, ...], *, means: str, next_step: str) -> None:
        refused = [g for g in gates if g.verdict in ("refused", "not-checked")]
        lines = "\n".join(f"  {g.verdict}: {_below(g.detail)}" for g in refused)
        super().__init__(
            f"{refused[0].station} refused {refused[0].subject}\n{lines}", means=means, next_step=next_step
        )
        self.gates = gates


class NotCheckedError(OutsideError):
    """Nothing was found wrong, but not everything could be looked at: no pass, and no refusal either.

    Looking again may help when it may for each of the ``causes``.
    """

    def __init__(
        self, gates: tuple[Gate, ...], causes: Sequence[OutsideError], *, means: str, next_step: str
    ) -> None:
        lines = "\n".join(
            f"  {g.verdict}: {g.subject}: {_below(g.detail)}" for g in gates if g.verdict == "not-checked"
        )
        # Whoever waits reads the first line alone.
        first = causes[0].happened.partition("\n")[0] if causes else "nobody knows why"
        super().__init__(
            f"{gates[0].station} could not look at everything: {first}\n{lines}",
            means=means,
            next_step=next_step,
            again=all(cause.again for cause in causes),
            retry_after=max((c.retry_after for c in causes if c.retry_after is not None), default=None),
        )
        self.gates = gates


def _below(detail: str) -> str:
    """Indent further lines, which words from outside may have: they look like no verdict of ours."""
    return detail.replace("\n", "\n      ")


@dataclass
class Looks:
    """The checks of one station about one subject; ``causes`` are why something could not be checked."""

    station: str
    subject: str
    gates: list[Gate] = field(default_factory=list)
    causes: list[OutsideError] = field(default_factory=list)

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

    def unless_waived(self, wrong: str, held: Held) -> None:
        """Write down what is wrong, and whether a waiver allows it."""
        if held.waiver is not None:
            self.excused(f"{wrong}; excused by {held.waiver}")
        else:
            self.refused(f"{wrong}{held.instead}")

    def excused(self, detail: str) -> None:
        """Write down what an exception allows."""
        self._add("excused", detail)

    def not_checked(self, detail: str, cause: OutsideError | None = None) -> None:
        """Write down what could not be looked at: not a pass, and with a ``cause`` outside no refusal."""
        self._add("not-checked", detail)
        if cause is not None:
            self.causes.append(cause)

    def done(self, *, means: str, next_step: str, allow_not_checked: bool = False) -> tuple[Gate, ...]:
        """Return what was looked at.

        Raises GateRefusedError when it is wrong or was nothing, and NotCheckedError when the outside
        kept us from looking.
        """
        gates = tuple(self.gates)
        bad = {"refused"} if allow_not_checked else {"refused", "not-checked"}
        if not gates:
            self.not_checked("nothing was looked at")
            gates = tuple(self.gates)
        verdicts = {g.verdict for g in gates}
        if self.causes and "refused" not in verdicts and bad & verdicts:
            raise NotCheckedError(
                gates, self.causes, means="nobody knows yet whether it is right", next_step="run again"
            )
        if bad & verdicts:
            raise GateRefusedError(gates, means=means, next_step=next_step)
        return gates

    def _add(self, verdict: str, detail: str) -> None:
        self.gates.append(
            Gate(
                station=self.station,
                subject=encodable(self.subject),
                verdict=verdict,  # type: ignore[arg-type]
                detail=encodable(detail),
            )
        )
