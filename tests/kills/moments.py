"""When a release is killed, and who: drawn from a seed, so that each draw can be played again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, cycle

# What a release of this repository says: a line at its start, and one as each node ends.
LINES = 31
OPENING_SECONDS = 4.0
NODE_SECONDS = 1.5
# What comes after the signatures is over so soon that a longer wait would meet nobody.
LAST_LINES, LAST_SECONDS = 3, 0.15
_BOTH_HAVE = (
    *("registry", "layouts-registry", "buildkitd", "github", "issuer", "email-issuer"),
    *("ctlog", "fulcio", "tsa", "supervisor", "guard"),
)
# One in so many moments is played in the other world.
OTHER_EVERY = 5


class World(StrEnum):
    """Where it is played: which log signs, and whether the registry has the Referrers API."""

    USUAL = "public"
    OTHER = "v2, no Referrers API"

    @property
    def options(self) -> tuple[str, ...]:
        """What a release there is started with."""
        return () if self is World.USUAL else ("--signing-profile=v2", "--no-referrers-api")

    @property
    def services(self) -> tuple[str, ...]:
        """All that can be killed there."""
        return (*_BOTH_HAVE, "rekor1" if self is World.USUAL else "rekor-server")


class How(StrEnum):
    """What is done at the moment."""

    RELEASE = "SIGKILL of the release"
    SERVICE = "SIGKILL of a service"
    BOTH = "SIGKILL of both"
    INTERRUPT = "SIGINT twice"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """``delay`` seconds after the release has said so many ``lines``; ``service`` where one is killed."""

    number: int
    lines: int
    delay: float
    how: How
    service: str = ""
    world: World = World.USUAL

    @property
    def name(self) -> str:
        """What the tables call it."""
        return f"{self.how}{f', {self.service}' if self.service else ''}"

    @property
    def at(self) -> str:
        """When it comes."""
        since = f"line {self.lines} of {LINES}" if self.lines else "the start"
        return f"{self.delay:.2f} s after {since}"


def moments(count: int, seed: int) -> Sequence[Moment]:
    """Spread moments over the timeline: as many in each part of it, at random within the part."""
    draw = random.Random(seed)  # noqa: S311 - it must be repeatable
    drawn = [_moment(number, count, draw) for number in range(count)]
    elsewhere = {first + draw.randrange(OTHER_EVERY) for first in range(0, count, OTHER_EVERY)}
    placed = [replace(m, world=World.OTHER) if m.number in elsewhere else m for m in drawn]
    # Every service in turn, or a small draw would miss some. First those that make the other world other.
    usual = cycle(draw.sample(World.USUAL.services, len(World.USUAL.services)))
    rest = draw.sample(World.OTHER.services, len(World.OTHER.services))
    other = chain(("rekor-server", "registry"), cycle(rest))
    return [
        replace(m, service=next(usual if m.world is World.USUAL else other))
        if m.how in (How.SERVICE, How.BOTH)
        else m
        for m in placed
    ]


def _moment(number: int, count: int, draw: random.Random) -> Moment:
    # The opening, before the first line, is as long as several nodes.
    place = (number + draw.random()) / count * (LINES + 2) - 2
    lines = max(0, int(place))
    delay = draw.uniform(0, _longest(lines))
    how = draw.choices(list(How), weights=(4, 3, 2, 1))[0]
    # Nothing but a supervisor is there to be killed before everything is up.
    if lines == 0 and how in (How.SERVICE, How.BOTH):
        how = How.RELEASE
    return Moment(number=number, lines=lines, delay=round(delay, 2), how=how)


def _longest(lines: int) -> float:
    if not lines:
        return OPENING_SECONDS
    return LAST_SECONDS if lines >= LINES - LAST_LINES else NODE_SECONDS
