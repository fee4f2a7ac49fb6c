"""When a release is killed, and who: drawn from a seed, so that each draw can be played again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# What a release of this repository says: a line at its start, and one as each node ends.
LINES = 31
OPENING_SECONDS = 4.0
NODE_SECONDS = 1.5
SERVICES = (
    *("registry", "layouts-registry", "buildkitd", "github", "issuer"),
    *("ctlog", "fulcio", "rekor1", "tsa", "supervisor"),
)


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
    # Every service in turn, or a small draw would miss some.
    services = draw.sample(SERVICES, len(SERVICES))
    killers = [m.number for m in drawn if m.how in (How.SERVICE, How.BOTH)]
    chosen = {number: services[turn % len(services)] for turn, number in enumerate(killers)}
    return [
        Moment(number=m.number, lines=m.lines, delay=m.delay, how=m.how, service=chosen.get(m.number, ""))
        for m in drawn
    ]


def _moment(number: int, count: int, draw: random.Random) -> Moment:
    # The opening, before the first line, is as long as several nodes.
    place = (number + draw.random()) / count * (LINES + 2) - 2
    lines = max(0, int(place))
    delay = draw.uniform(0, NODE_SECONDS if lines else OPENING_SECONDS)
    how = draw.choices(list(How), weights=(4, 3, 2, 1))[0]
    # Nothing but the supervisor is there to be killed before everything is up.
    if lines == 0 and how in (How.SERVICE, How.BOTH):
        how = How.RELEASE
    return Moment(number=number, lines=lines, delay=round(delay, 2), how=how)
