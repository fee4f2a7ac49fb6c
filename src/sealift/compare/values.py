"""What a comparison of images holds. Sizes are in bytes, times in seconds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

from sealift.model.config import Strict
from sealift.model.names import Digest, Platform

SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")


class Size(Strict, frozen=True, kw_only=True):
    """What is transferred, and what lies on the disk afterwards."""

    compressed: int
    unpacked: int


class Contents(Strict, frozen=True, kw_only=True):
    """What is in an image with the service; ``base`` is its size without the service."""

    base: Size
    total: Size
    files: int
    packages: int
    programs: int
    setuid: int
    shells: tuple[str, ...]
    package_managers: tuple[str, ...]


class Running(Strict, frozen=True, kw_only=True):
    """What was seen of the started image, once for each container."""

    starts: tuple[float, ...]
    cgroup: tuple[int, ...]
    rss: tuple[int, ...]
    requests_per_second: tuple[float, ...]


def middle_half(values: Sequence[float]) -> float:
    """Return how far the middle half of some values lies apart; a single value has no spread."""
    if len(values) == 1:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4)
    return high - low


class Measured(Strict, frozen=True, kw_only=True, tag="measured"):
    """One kind of image, measured."""

    kind: str
    title: str
    digest: Digest
    contents: Contents
    findings: Mapping[str, int]
    running: Running

    @property
    def start(self) -> float:
        """The median seconds until /healthz was good."""
        return statistics.median(self.running.starts)

    @property
    def spread(self) -> float:
        """How far the middle half of the starts lies apart."""
        return middle_half(self.running.starts)

    @property
    def cgroup(self) -> float:
        """The median memory of the container at rest."""
        return statistics.median(self.running.cgroup)

    @property
    def rss(self) -> float:
        """The median memory of the service's process at rest."""
        return statistics.median(self.running.rss)

    @property
    def requests_per_second(self) -> float:
        """The median rate of one client."""
        return statistics.median(self.running.requests_per_second)

    @property
    def rate_spread(self) -> float:
        """How far the middle half of the rates lies apart."""
        return middle_half(self.running.requests_per_second)


class NotMeasured(Strict, frozen=True, kw_only=True, tag="not measured"):
    """One kind of image that could not be had here."""

    kind: str
    title: str
    why: str


class Verdict(Strict, frozen=True, kw_only=True):
    """A claim, and what the measurement says of it."""

    claim: str
    verdict: Literal["supported", "corrected", "not measured"]
    measured: str


class Machine(Strict, frozen=True, kw_only=True):
    """Where it was measured; ``load`` is how many programs wanted a core at the same time."""

    processor: str
    cores: int
    memory: int
    kernel: str
    engine: str
    load: float


class Advisories(Strict, frozen=True, kw_only=True):
    """What findings were looked for in: where it is from, and as of which day.

    ``stand_in`` counts the advisories of a database that stands in for Trivy's own: what is found in so few
    says nothing of an image.
    """

    source: str
    date: str
    stand_in: int | None = None


class Comparison(Strict, frozen=True, kw_only=True):
    """One run over every kind."""

    date: str
    version: str
    commit: str
    platform: Platform
    machine: Machine
    advisories: Advisories
    kinds: tuple[Measured | NotMeasured, ...]
    verdicts: tuple[Verdict, ...] = ()

    @property
    def measured(self) -> dict[str, Measured]:
        """The kinds that were measured, by name."""
        return {kind.kind: kind for kind in self.kinds if isinstance(kind, Measured)}
