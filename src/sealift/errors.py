"""Everything sealift raises on purpose: one root, an exit code for each thing a reader can act on.

An error says what happened, what it means, and the next command.
"""

from __future__ import annotations

import re
from typing import ClassVar


class SealiftError(Exception):
    """The root. ``means`` explains, ``next_step`` is a command or an action that helps.

    Its notes (``add_note``) are told with it: what was tried on the way.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, happened: str, *, means: str = "", next_step: str = "") -> None:
        super().__init__(happened)
        self.happened = happened
        self.means = means
        self.next_step = next_step

    @property
    def is_refusal(self) -> bool:
        """Whether a gate looked and said no, also where that is one of several failures."""
        return self.exit_code == RefusedError.exit_code

    def __str__(self) -> str:
        parts = [self.happened]
        if self.means:
            parts.append(f"  what it means: {self.means}")
        parts += [f"  {note}" for note in getattr(self, "__notes__", ())]
        if self.next_step:
            parts.append(f"  next: {self.next_step}")
        # Words from outside may have several lines: none of them begins as an error of its own does.
        return "\n".join(re.sub(r"\n(?=\S)", "\n    ", part) for part in parts)


class DefectError(SealiftError):
    """Something sealift itself got wrong."""

    exit_code = 1


class UsageError(SealiftError):
    """A command line, configuration file or tree that cannot be used as it is."""

    exit_code = 2


class RefusedError(SealiftError):
    """A gate looked and said no."""

    exit_code = 3


class OutsideError(SealiftError):
    """A registry, a log, a network or a port did not do its part: try again.

    ``again`` tells whether asking the same again may help, which it does not where somebody said no (a
    401, wrong bytes). ``retry_after`` is how long the server asks to be left alone, in seconds.
    """

    exit_code = 4

    def __init__(
        self,
        happened: str,
        *,
        means: str = "",
        next_step: str = "",
        again: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(happened, means=means, next_step=next_step)
        self.again = again
        self.retry_after = retry_after


class MissingProgramError(SealiftError):
    """A program is not here and could not be installed."""

    exit_code = 5


class InterruptedReleaseError(SealiftError):
    """Ctrl-C or SIGTERM."""

    exit_code = 130


class ManyErrors(SealiftError):  # noqa: N818 - it reads as what it is: several
    """Every failure of one level of the line, together."""

    def __init__(self, errors: list[SealiftError]) -> None:
        # Code that does not compile fails in the same words for each variant; only the notes may differ.
        told: dict[tuple[str, str, str], str] = {}
        for error in errors:
            told.setdefault((error.happened, error.means, error.next_step), str(error))
        super().__init__("\n".join(told.values()))
        self.errors = tuple(errors)
        # A refusal outranks a failure outside: trying again would not help.
        ranks = (1, 2, 3, 5, 4)
        self.exit_code = min((e.exit_code for e in errors), key=lambda c: ranks.index(c) if c in ranks else 9)  # type: ignore[misc]

    def __str__(self) -> str:
        return self.happened
