"""What was measured, as values: they go to ``build/bench/*.json`` and into the table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

import msgspec

from benchmarks.speed.catalog import ROWS, Row


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One row's samples, in the order in which they were taken; ``made_of`` says what of, in words."""

    name: str
    samples: tuple[float, ...]
    made_of: str = ""

    @property
    def row(self) -> Row:
        """What it means."""
        return ROWS[self.name]

    @property
    def median(self) -> float:
        """The sample in the middle."""
        return statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the median is within the limit; None where there is none."""
        return None if self.row.limit is None else self.median <= self.row.limit


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list below the table: a node of the longest chain, a program that was built."""

    name: str
    seconds: float
    note: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What it ran on: figures of two machines are not put into one table."""

    cpu: str
    cores: int
    memory_gib: float
    system: str

    def __str__(self) -> str:
        return f"{self.cores} cores of {self.cpu}, {self.memory_gib} GiB, {self.system}"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement's file: figures, lists by name, and the circumstances under which they were taken."""

    date: str
    machine: Machine
    commit: str
    versions: dict[str, str]
    load_average: float
    figures: tuple[Figure, ...]
    lists: dict[str, tuple[Part, ...]] = {}


def middle(values: Iterable[float]) -> str:
    """Say a median in seconds, for the words beside a ratio."""
    return f"{statistics.median(values):.2f} s"


def ratio(name: str, over: Iterable[float], under: Iterable[float]) -> Figure:
    """Divide sample by sample: what is compared was measured side by side; show that in the middle."""
    top, bottom = tuple(over), tuple(under)
    samples = tuple(a / b for a, b in zip(top, bottom, strict=True))
    shown = samples.index(statistics.median_low(samples))
    return Figure(name=name, samples=samples, made_of=f"{top[shown]:.2f} s ÷ {bottom[shown]:.2f} s")
