"""The one place that tries again: what failed outside is asked once more, for so long and no longer.

    persist(push, doing="push static", patience=Patience(seconds=3600), next_step="sealift push")

Whatever is worked on here looks at the outside first, so a second try goes on where the first one broke off.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from sealift import console, process
from sealift.errors import ManyErrors, OutsideError, SealiftError

T = TypeVar("T")
TIMEOUTS_AND_LIMITS = frozenset({408, 425, 429})
MOST_DOUBLINGS = 16
SHORT = 10


@dataclass(frozen=True, kw_only=True)
class Patience:
    """For how long one piece of work is tried again after its first failure, and the pauses: in seconds."""

    seconds: float
    first: float = 0.5
    longest: float = 60.0

    def pause(self, tries: int, jitter: Callable[[float, float], float]) -> float:
        """Return the pause after so many tries: anything up to a bound that doubles each time."""
        return jitter(0, min(self.longest, self.first * 2.0 ** min(tries - 1, MOST_DOUBLINGS)))


def persist(
    work: Callable[[], T],
    *,
    doing: str,
    patience: Patience,
    next_step: str,
    in_vain: Callable[[], bool] = lambda: False,
    pause: Callable[[float], None] = process.pause,
    clock: Callable[[], float] = time.monotonic,
    jitter: Callable[[float, float], float] = random.uniform,
) -> T:
    """Work, and again while only the outside fails and the budget lasts; then raise the last error.

    ``doing`` is for the words, ``next_step`` is the command that goes on later, also where the outside said
    no and nobody knows a better one. Once it is ``in_vain``, because something else has failed for good,
    nobody waits any more.
    """
    failed_first, tries = math.inf, 0
    while True:
        tries += 1
        try:
            return work()
        except SealiftError as error:
            if not may_help(error):
                if error.exit_code == OutsideError.exit_code:
                    error.next_step = error.next_step or next_step
                raise
            now = clock()
            failed_first = min(failed_first, now)
            failure = _Failure(
                error=error,
                tries=tries,
                patience=patience,
                left=patience.seconds - (now - failed_first),
                wait=(wish(error) or 0.0) + patience.pause(tries, jitter),
            )
            if (vain := in_vain()) or failure.is_last:
                # A wrong proxy looks like a server that is away: the advice of its error must not be lost.
                # Advice to try again is replaced by the command that does.
                if error.next_step and "again" not in error.next_step:
                    error.add_note(f"hint: {error.next_step}")
                error.add_note(failure.summary(in_vain=vain))
                error.next_step = next_step
                raise
            console.say(f"  {doing}: {failure}")
        pause(failure.wait)


@dataclass(frozen=True, kw_only=True)
class _Failure:
    """One try that failed: what is left of the budget, and the wait before the next one, in seconds."""

    error: SealiftError
    tries: int
    patience: Patience
    left: float
    wait: float

    @property
    def is_last(self) -> bool:
        return self.wait >= self.left

    @property
    def budget(self) -> str:
        return f"{_seconds(max(self.left, 0))} of {_seconds(self.patience.seconds)} left"

    def __str__(self) -> str:
        said = self.error.happened.partition("\n")[0].rstrip(":")
        asked = wish(self.error)
        why = f" (the server asks for {_seconds(asked)})" if asked else ""
        return f"{said}; again in {_seconds(self.wait)}{why}, {self.budget}"

    def summary(self, *, in_vain: bool) -> str:
        """Say how long it was tried, and why no longer."""
        spent = self.patience.seconds - self.left
        times = "once" if self.tries == 1 else f"{self.tries} times, for {_seconds(spent)}"
        asked = wish(self.error)
        why = f"the server asks for {_seconds(asked)} more, and " if asked else ""
        if in_vain:
            why = "something else has failed for good, and "
        return f"tried {times}: {why}{self.budget} (--patience)"


def may_help(error: SealiftError) -> bool:
    """Tell whether asking again may help: never when anybody said no."""
    if isinstance(error, ManyErrors):
        return all(may_help(one) for one in error.errors)
    return isinstance(error, OutsideError) and error.again


def wish(error: SealiftError) -> float | None:
    """Return how long whoever failed asks to be left alone, in seconds; the longest of several."""
    if isinstance(error, ManyErrors):
        return max((w for one in error.errors if (w := wish(one)) is not None), default=None)
    return error.retry_after if isinstance(error, OutsideError) else None


def passes(status: int) -> bool:
    """Tell whether an HTTP status may be another one later: the server's trouble, a timeout, a limit."""
    return status in TIMEOUTS_AND_LIMITS or status >= 500  # noqa: PLR2004 - 5xx is a class of answers


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read ``Retry-After``, in seconds or as a date; None for what is missing or says nothing.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    import urllib3

    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        return float(urllib3.Retry().parse_retry_after(said))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


def _seconds(number: float) -> str:
    """Write seconds for people: a tenth where it matters."""
    return f"{number:.1f} s" if number < SHORT and number != round(number) else f"{number:.0f} s"
