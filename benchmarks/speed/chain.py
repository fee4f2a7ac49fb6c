"""``timeline.json`` read again: the line's wall time, and its longest chain of node durations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from sealift.line import Line
from sealift.model.plan import Plan


class Program(msgspec.Struct, frozen=True):
    """One program's run inside a node; times in seconds from the release's start."""

    argv0: str
    start: float
    end: float
    cpu_seconds: float
    max_rss_bytes: int


class Timed(msgspec.Struct, frozen=True):
    """One node: when it could start, did, and ended."""

    node: str
    station: str
    subject: str
    ready: float
    start: float
    end: float
    programs: tuple[Program, ...] = ()

    @property
    def seconds(self) -> float:
        """How long it worked, without the time it waited for a worker."""
        return self.end - self.start


def read(path: Path) -> tuple[Timed, ...]:
    """Read a run's timeline."""
    return msgspec.json.decode(path.read_bytes(), type=tuple[Timed, ...])


def needs_of(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return which nodes each node of a plan's line needs."""
    # The graph follows from the plan; of the rest of a Line only actions ask, and none is run here.
    others: dict[str, Any] = {f.name: None for f in fields(Line) if f.init and f.name != "plan"}
    return {node.name: node.needs for node in Line(plan=plan, **others).nodes()}


def wall(nodes: Iterable[Timed]) -> float:
    """Return the seconds from the first node that could start to the end of the last."""
    seen = tuple(nodes)
    return max(n.end for n in seen) - min(n.ready for n in seen)


def station_seconds(nodes: Iterable[Timed], station: str) -> float:
    """Return the seconds from a station's first start to its last end."""
    mine = [n for n in nodes if n.station == station]
    return max(n.end for n in mine) - min(n.start for n in mine)


def longest(nodes: Iterable[Timed], needs: Mapping[str, Sequence[str]]) -> tuple[Timed, ...]:
    """Return the chain whose durations add up to most: with endless cores the line takes that long."""
    known = {n.node: n for n in nodes}
    best: dict[str, tuple[Timed, ...]] = {}

    def ending(name: str) -> tuple[Timed, ...]:
        if name not in best:
            before = (ending(need) for need in needs[name] if need in known)
            best[name] = (*max(before, key=total, default=()), known[name])
        return best[name]

    return max((ending(name) for name in known), key=total)


def total(chain: Iterable[Timed]) -> float:
    """Add up the seconds of some nodes."""
    return sum(n.seconds for n in chain)
