"""Going on when one part fails: twenty minutes are not lost for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sealift.console import say
from sealift.errors import SealiftError

T = TypeVar("T")


def attempt(make: Callable[[], T], failures: list[SealiftError]) -> T | None:
    """Return what is made; None, when that fails, which is said and remembered in ``failures``."""
    try:
        return make()
    except SealiftError as error:
        say(f"bench: {error}")
        failures.append(error)
        return None


def several(make: Callable[[], T], count: int, failures: list[SealiftError]) -> list[T]:
    """Make it once to warm up and then ``count`` times; return those of the latter that went through."""
    made = [attempt(make, failures) for _ in range(count + 1)]
    return [one for one in made[1:] if one is not None]
