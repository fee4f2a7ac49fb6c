"""1, 2, 4 and 8 services of the same kind in one release, from generated checkouts.

``ci/release.yaml`` names one service with its variants. What the line sees of a service is its cells, so a
service more of the same kind is generated as two more variants, each with a repository of its own: their
binaries are linked, proven, built, started, scanned, listed, signed and verified one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from benchmarks.speed.attempt import several
from benchmarks.speed.desk import Desk, Released
from benchmarks.speed.values import Figure, ratio
from sealift.console import say
from sealift.errors import ManyErrors, SealiftError

COUNTS = (1, 2, 4, 8)
WORLD = "bench-many"


def generate(config: dict[str, Any], services: int) -> dict[str, Any]:
    """Return a configuration with the cells of so many services."""
    variants = {
        _named(name, number): {**variant, "repository": _named(variant["repository"], number)}
        for number in range(1, services + 1)
        for name, variant in config["variants"].items()
    }
    return {**config, "variants": variants}


def measure(count: int) -> tuple[Figure, ...]:
    """Release each number of services in turn, ``count`` times after once to warm up."""
    desks = {services: _desk(services) for services in COUNTS}
    failures: list[SealiftError] = []
    rounds = several(lambda: _round(desks), count, failures)
    if not rounds:
        raise ManyErrors(failures)
    return figures_of(rounds)


def _round(desks: Mapping[int, Desk]) -> dict[int, Released]:
    say(f"bench: a round of {', '.join(map(str, desks))} services")
    return {services: _release(desk) for services, desk in desks.items()}


def figures_of(rounds: Sequence[dict[int, Released]]) -> tuple[Figure, ...]:
    """Compare each number of services with one, round by round."""
    walls = {services: [r[services].wall for r in rounds] for services in COUNTS}
    most = COUNTS[-1]
    cells = len(rounds[0][most].plan.cells)
    return (
        *(ratio(f"many-{services}", walls[services], walls[1]) for services in COUNTS[1:]),
        Figure(
            name="memory",
            samples=tuple(r[most].ran.peak_mb for r in rounds),
            made_of=f"VmHWM of the process itself, {cells} cells",
        ),
    )


def _desk(services: int) -> Desk:
    desk = Desk.set_up(f"many-{services}")
    path = desk.folder / "ci" / "release.yaml"
    generated = generate(yaml.safe_load(path.read_text("utf-8")), services)
    path.write_text(yaml.safe_dump(generated, sort_keys=False), "utf-8")
    # One service as well, so that all are generated alike.
    desk.git("commit", "--quiet", "--all", "--allow-empty", "--message", f"{services} services")
    return desk


def _release(desk: Desk) -> Released:
    with desk.world(WORLD):
        return desk.release(WORLD)


def _named(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"
