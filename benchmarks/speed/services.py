"""How long a rehearsal's services take until each of them answers.

    python -m benchmarks.speed.services WORLD        in a clone: one start, its seconds as JSON

It is a process of its own, as a release is.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import msgspec

from benchmarks.speed.desk import Desk
from benchmarks.speed.values import Figure
from sealift.commands.opening import Asked, opened
from sealift.console import result
from sealift.line import STATIONS
from sealift.services.service import Service
from sealift.services.supervised import DEADLINE, Supervised

WORLD = "bench-services"


class Clocked(Supervised):
    """The release's own supervisor, with a clock from its making until every service answers."""

    def __init__(self, *, log: Path) -> None:
        self._begin = time.monotonic()
        super().__init__(log=log)

    def start(self, services: Sequence[Service], *, deadline: float = DEADLINE) -> None:
        """Start all of them, and say how long that took."""
        super().start(services, deadline=deadline)
        seconds = time.monotonic() - self._begin
        result(json.dumps({"seconds": seconds, "services": [s.name for s in services]}))


class Started(msgspec.Struct, frozen=True):
    """What one start says."""

    seconds: float
    services: tuple[str, ...]


def measure(count: int) -> tuple[Figure, ...]:
    """Start the services of a new world, ``count`` times after one to warm up."""
    desk = Desk.set_up("desk")
    started = [_one(desk) for _ in range(count + 1)]
    figure = Figure(
        name="services",
        samples=tuple(s.seconds for s in started[1:]),
        made_of=f"{len(started[0].services)} services, started together in a new world",
    )
    return (figure,)


def _one(desk: Desk) -> Started:
    with desk.world(WORLD):
        ran = desk.python("benchmarks.speed.services", WORLD, log="services")
    return msgspec.json.decode(ran.stdout, type=Started)


def main() -> None:
    """Open a release for all its stations, and do none of them."""
    with (
        mock.patch("sealift.rehearsal.world.Supervised", Clocked),
        opened(Asked(world_name=sys.argv[1]), STATIONS),
    ):
        pass


if __name__ == "__main__":
    main()
