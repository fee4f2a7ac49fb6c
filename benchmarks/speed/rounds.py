"""Rounds of the same things, one after the other: what a ratio compares was measured side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.speed import beside, chain
from benchmarks.speed.attempt import attempt, several
from benchmarks.speed.desk import Desk, Ran, Released
from benchmarks.speed.gates import Costs
from benchmarks.speed.values import Figure, Part, middle, ratio
from sealift.console import say
from sealift.errors import SealiftError
from sealift.line import STATIONS

# What each figure takes out of a round, beside the release that all of them begin with: fields of Round.
PARTS: Mapping[str, tuple[str, ...]] = {
    "chain": (),
    "script": ("script",),
    "goreleaser": ("goreleaser",),
    "sign": ("script", "v2"),
    "again": ("again",),
    "gates": ("gates",),
}
# rekor-server's --checkpoint-interval in a rehearsal: an entry of the v2 profile waits for the next one.
CHECKPOINT_INTERVAL = 0.5
WORLD, WORLD_V2 = "bench", "bench-v2"

T = TypeVar("T")


@dataclass(kw_only=True)
class Round:
    """One release in a new world, and what was done beside it at the same services; what failed is None."""

    first: Released
    script: beside.Scripted | None = None
    goreleaser: float | None = None
    again: Ran | None = None
    v2: Released | None = None
    gates: Costs | None = None

    def has(self, figure: str) -> bool:
        """Tell whether everything that a figure is made of went through."""
        return all(getattr(self, part) is not None for part in PARTS[figure])


class Rounds:
    """The rounds of one measurement. What fails is said, left out, and remembered in ``failures``."""

    def __init__(self, figures: Collection[str]) -> None:
        self.figures = figures
        self.wanted = {part for figure in figures for part in PARTS[figure]}
        self.rounds: list[Round] = []
        self.failures: list[SealiftError] = []
        self.program = self._try(beside.provide_goreleaser) if "goreleaser" in self.wanted else None
        self.desk = Desk.set_up("desk")

    def play(self, count: int) -> None:
        """Play one round to warm every cache up, then ``count`` that are measured."""
        self.rounds = several(self._round, count, self.failures)

    def figures_of(self) -> tuple[Figure, ...]:
        """Put every round's seconds together; a figure that no round has is left out."""
        having = {figure: [r for r in self.rounds if r.has(figure)] for figure in self.figures}
        return tuple(made for figure, rounds in having.items() if rounds for made in MAKERS[figure](rounds))

    def _round(self) -> Round:
        say("bench: a round of a release and what is beside it")
        with self.desk.world(WORLD) as world:
            played = Round(first=self.desk.release(WORLD, "--keep"))
            env = self.desk.environment(WORLD)
            if "gates" in self.wanted:
                played.gates = self._try(lambda: self._gates(world))
            if "script" in self.wanted:
                played.script = self._try(lambda: beside.script(self.desk, world, env))
            if (program := self.program) is not None:
                played.goreleaser = self._try(lambda: beside.goreleaser(program, world, env))
            if "again" in self.wanted:
                played.again = self._try(self._again)
        if "v2" in self.wanted:
            played.v2 = self._try(self._v2)
        return played

    def _gates(self, world: Path) -> Costs:
        latest = self.desk.folder / "build" / "release" / "latest"
        ran = self.desk.python(
            "benchmarks.speed.gates", str(latest.resolve()), str(world / "bases"), log="gates"
        )
        return msgspec.json.decode(ran.stdout, type=Costs)

    def _again(self) -> Ran:
        self.desk.stop(WORLD)
        return self.desk.sealift("release", "--world-name", WORLD)

    def _v2(self) -> Released:
        with self.desk.world(WORLD_V2):
            return self.desk.release(WORLD_V2, "--signing-profile", "v2")

    def _try(self, make: Callable[[], T]) -> T | None:
        return attempt(make, self.failures)


def lists_of(figures: Collection[str], rounds: Sequence[Round]) -> dict[str, tuple[Part, ...]]:
    """Say where the seconds went: of the line's longest chain, and of the script."""
    lists: dict[str, tuple[Part, ...]] = {}
    if "chain" in figures:
        in_the_middle = sorted(rounds, key=lambda r: r.first.wall)[len(rounds) // 2]
        lists["chain"] = tuple(map(_part, in_the_middle.first.longest))
    if "script" in figures and (scripted := [r for r in rounds if r.script]):
        lists["script"] = tuple(_stages(scripted))
    return lists


def _stages(rounds: Sequence[Round]) -> Iterator[Part]:
    """Yield each stage of the script with its seconds, beside those of the line's station, as medians."""
    scripts = [r.script for r in rounds if r.script]
    for name in scripts[0].stages:
        if name in STATIONS:
            line = statistics.median(chain.station_seconds(r.first.nodes, name) for r in rounds)
            script = statistics.median(s.stages[name] for s in scripts)
            yield Part(name=name, seconds=script, note=f"the line {line:.2f} s")


def _part(node: chain.Timed) -> Part:
    spent: dict[str, float] = {}
    for program in node.programs:
        spent[program.argv0] = spent.get(program.argv0, 0.0) + program.end - program.start
    words = [f"{name} {spent[name]:.2f} s" for name in sorted(spent, key=lambda n: -spent[n])]
    return Part(name=node.node, seconds=node.seconds, note=", ".join(words))


def _walls(rounds: Sequence[Round]) -> list[float]:
    return [r.first.wall for r in rounds]


def _chain(rounds: Sequence[Round]) -> Iterator[Figure]:
    yield ratio("chain", _walls(rounds), [chain.total(r.first.longest) for r in rounds])


def _script(rounds: Sequence[Round]) -> Iterator[Figure]:
    scripts = [r.script.seconds for r in rounds if r.script]
    yield ratio("script", _walls(rounds), scripts)
    yield ratio("script-whole", [r.first.ran.seconds for r in rounds], scripts)


def _goreleaser(rounds: Sequence[Round]) -> Iterator[Figure]:
    yield ratio("goreleaser", _walls(rounds), [r.goreleaser for r in rounds if r.goreleaser is not None])


def _sign(rounds: Sequence[Round]) -> Iterator[Figure]:
    ours = [chain.station_seconds(r.first.nodes, "sign") for r in rounds]
    yield ratio("sign", ours, [r.script.stages["sign"] for r in rounds if r.script])
    v2 = [chain.station_seconds(r.v2.nodes, "sign") for r in rounds if r.v2]
    yield Figure(
        name="sign-v2",
        samples=tuple(s - CHECKPOINT_INTERVAL for s in v2),
        made_of=f"{middle(v2)} - {CHECKPOINT_INTERVAL} s",
    )


def _again(rounds: Sequence[Round]) -> Iterator[Figure]:
    yield ratio("again", [r.again.seconds for r in rounds if r.again], [r.first.ran.seconds for r in rounds])


def _gates(rounds: Sequence[Round]) -> Iterator[Figure]:
    yield ratio("gates", [r.gates.seconds for r in rounds if r.gates], _walls(rounds))


MAKERS: Mapping[str, Callable[[Sequence[Round]], Iterator[Figure]]] = {
    "chain": _chain,
    "script": _script,
    "goreleaser": _goreleaser,
    "sign": _sign,
    "again": _again,
    "gates": _gates,
}
