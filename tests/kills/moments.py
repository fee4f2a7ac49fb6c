"""When a release is killed, and who: drawn from a seed, so that each draw can be played again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, cycle

from tests.kills.stages import Stage, When

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


@dataclass(frozen=True)
class AfterLines:
    """``delay`` seconds after the release has said so many ``lines``."""

    lines: int
    delay: float

    def __str__(self) -> str:
        since = f"line {self.lines} of {LINES}" if self.lines else "the start"
        return f"{self.delay:.2f} s after {since}"

    @property
    def is_last(self) -> bool:
        """Whether the release may be over by then."""
        return self.lines >= LINES - 1


@dataclass(frozen=True)
class WhileRuns:
    """While the release runs a program whose command line holds all of these ``words``."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"while {' '.join(self.words)} runs"


# What an interrupted release has begun to remove is still to be removed.
REMOVAL = WhileRuns(("rm", "--force"))


@dataclass(frozen=True, kw_only=True)
class Moment:
    """``when`` it comes, and ``how``; ``service`` where one is killed."""

    number: int
    when: AfterLines | When | WhileRuns
    how: How
    service: str = ""
    world: World = World.USUAL

    @property
    def name(self) -> str:
        """What the tables call it."""
        return f"{self.how}{f', {self.service}' if self.service else ''}"


@dataclass(frozen=True)
class Window:
    """Where something is half out: between ``first`` and ``last`` of it, who is killed there, and where."""

    stage: Stage
    first: int
    last: int
    how: How
    service: str = ""
    world: World = World.USUAL


# Each is open for less than a second, or for hundredths of one: moments that are spread over everything
# that a release says do not meet them. With both images pushed, the draft and the signatures begin.
WINDOWS = (
    Window(Stage.IMAGES, 1, 1, How.RELEASE),
    *(Window(Stage.IMAGES, 2, 2, How.SERVICE, name) for name in ("ctlog", "tsa", "issuer", "rekor1")),
    Window(Stage.ASSETS, 1, 1, How.RELEASE),
    Window(Stage.ASSETS, 1, 6, How.SERVICE, "github"),
    Window(Stage.ASSETS, 5, 8, How.BOTH, "github", World.OTHER),
    Window(Stage.SIGNATURES, 1, 1, How.RELEASE),
    Window(Stage.SIGNATURES, 4, 12, How.RELEASE),
    Window(Stage.SIGNATURES, 4, 12, How.SERVICE, "registry"),
    # Without the Referrers API each of them writes a list again, which the next one reads.
    Window(Stage.SIGNATURES, 4, 12, How.BOTH, "registry", World.OTHER),
    Window(Stage.SIGNATURES, 16, 20, How.RELEASE),
    Window(Stage.VERSION_TAGS, 1, 1, How.RELEASE, world=World.OTHER),
    Window(Stage.VERSION_TAGS, 1, 1, How.SERVICE, "registry"),
    Window(Stage.PUBLISHED, 1, 1, How.RELEASE),
)


def every_moment(count: int, seed: int) -> Sequence[Moment]:
    """Return what is spread over the timeline, and after it what waits for something to be seen."""
    # Before the world is up, its bases are signed by an identity that nobody asks later.
    first = Moment(number=count, when=AfterLines(0, 0.0), how=How.SERVICE, service="email-issuer")
    drawn = (*moments(count, seed), first, *windows(count + 1, seed))
    return (*drawn, Moment(number=len(drawn), when=REMOVAL, how=How.INTERRUPT))


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


def windows(first: int, seed: int) -> Sequence[Moment]:
    """Draw where in each window it comes; they are numbered from ``first``."""
    draw = random.Random(f"windows {seed}")  # noqa: S311 - it must be repeatable
    return [
        Moment(
            number=number,
            when=When(window.stage, draw.randint(window.first, window.last)),
            how=window.how,
            service=window.service,
            world=window.world,
        )
        for number, window in enumerate(WINDOWS, first)
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
    return Moment(number=number, when=AfterLines(lines, round(delay, 2)), how=how)


def _longest(lines: int) -> float:
    if not lines:
        return OPENING_SECONDS
    return LAST_SECONDS if lines >= LINES - LAST_LINES else NODE_SECONDS
