"""Rounds of the same things, one after the other: what a ratio compares was measured side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed import beside, chain
from benchmarks.speed.desk import Desk, Ran, Released
from benchmarks.speed.values import Figure, Part, middle, ratio
from sealift.console import say

# What each figure takes out of a round, beside the release that all of them begin with.
PARTS: Mapping[str, tuple[str, ...]] = {
    "chain": (),
    "script": ("script",),
    "goreleaser": ("goreleaser",),
    "sign": ("script", "v2"),
    "again": ("again",),
}
# rekor-server's --checkpoint-interval in a rehearsal: an entry of the v2 profile waits for the next one.
CHECKPOINT_INTERVAL = 0.5
WORLD, WORLD_V2 = "bench", "bench-v2"


@dataclass(frozen=True, kw_only=True)
class Round:
    """One release in a new world, and what was done beside it at the same services."""

    first: Released
    scripted: beside.Scripted | None
    goreleased: float | None
    again: Ran | None
    v2: Released | None


def play(figures: Collection[str], count: int) -> list[Round]:
    """Play one round to warm every cache up, then ``count`` that are measured."""
    wanted = {part for figure in figures for part in PARTS[figure]}
    program = beside.provide_goreleaser() if "goreleaser" in wanted else None
    desk = Desk.set_up("desk")
    rounds = []
    for number in range(count + 1):
        say(f"bench: round {number} of {count}" if number else "bench: a round to warm up")
        rounds.append(_one(desk, wanted, program))
    return rounds[1:]


def _one(desk: Desk, wanted: Collection[str], program: Path | None) -> Round:
    """Play one round, in a world that was not there before."""
    scripted = goreleased = again = v2 = None
    with desk.world(WORLD) as world:
        first = desk.release(WORLD)
        env = desk.environment(WORLD)
        if "script" in wanted:
            scripted = beside.script(desk, world, env)
        if program is not None:
            goreleased = beside.goreleaser(program, world, env)
        if "again" in wanted:
            desk.stop(WORLD)
            again = desk.release(WORLD).ran
    if "v2" in wanted:
        with desk.world(WORLD_V2):
            v2 = desk.release(WORLD_V2, "--signing-profile", "v2")
    return Round(first=first, scripted=scripted, goreleased=goreleased, again=again, v2=v2)


def figures_of(figures: Collection[str], rounds: Sequence[Round]) -> tuple[Figure, ...]:
    """Put every round's seconds together."""
    makers: Mapping[str, Callable[[Sequence[Round]], Iterator[Figure]]] = {
        "chain": _chain,
        "script": _script,
        "goreleaser": _goreleaser,
        "sign": _sign,
        "again": _again,
    }
    return tuple(made for figure in figures for made in makers[figure](rounds))


def parts_of(rounds: Sequence[Round]) -> tuple[Part, ...]:
    """Name what is on the longest chain of the round in the middle."""
    in_the_middle = sorted(rounds, key=lambda r: r.first.wall)[len(rounds) // 2]
    return tuple(map(_part, in_the_middle.first.longest))


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
    scripts = [r.scripted.seconds for r in rounds if r.scripted]
    yield ratio("script", _walls(rounds), scripts)
    yield ratio("script-whole", [r.first.ran.seconds for r in rounds], scripts)


def _goreleaser(rounds: Sequence[Round]) -> Iterator[Figure]:
    yield ratio("goreleaser", _walls(rounds), [r.goreleased for r in rounds if r.goreleased is not None])


def _sign(rounds: Sequence[Round]) -> Iterator[Figure]:
    ours = [chain.station_seconds(r.first.nodes, "sign") for r in rounds]
    yield ratio("sign", ours, [r.scripted.stages["sign"] for r in rounds if r.scripted])
    v2 = [chain.station_seconds(r.v2.nodes, "sign") for r in rounds if r.v2]
    yield Figure(
        name="sign-v2",
        samples=tuple(s - CHECKPOINT_INTERVAL for s in v2),
        made_of=f"{middle(v2)} - {CHECKPOINT_INTERVAL} s",
    )


def _again(rounds: Sequence[Round]) -> Iterator[Figure]:
    yield ratio("again", [r.again.seconds for r in rounds if r.again], [r.first.ran.seconds for r in rounds])
