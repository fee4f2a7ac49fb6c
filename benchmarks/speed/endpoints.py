"""What a thousand endpoints cost the service: CPU and memory of its process, each run a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from benchmarks import service_load
from benchmarks.service_load import MIB
from benchmarks.service_load import Measured as Load
from benchmarks.speed.attempt import attempt
from benchmarks.speed.values import Figure
from sealift.console import say
from sealift.errors import ManyErrors, OutsideError, SealiftError

T = TypeVar("T")

SECONDS = 60
TLS: Mapping[str, bool] = {"http": False, "https": True}
# Of the checks that were due. Who makes fewer of them costs less, and shows nothing.
NEARLY_ALL = 0.97
_MB = 1_000_000


def measure(count: int) -> tuple[Figure, ...]:
    """Watch by HTTP, then by HTTPS, ``count`` times; each warms up by itself."""
    rounds = _several(lambda: {scheme: _watch(tls=tls) for scheme, tls in TLS.items()}, count)
    return tuple(
        figure for scheme in TLS for figure in figures_of(f"endpoints-{scheme}", [r[scheme] for r in rounds])
    )


def measure_full(count: int) -> tuple[Figure, ...]:
    """Watch by HTTP after every ring of results was filled: four minutes each time."""
    return figures_of("endpoints-full", _several(lambda: _watch(full=True), count))


def figures_of(name: str, runs: Sequence[Load]) -> tuple[Figure, Figure]:
    """Put the CPU and the greatest memory of some runs together; the words are the first one's."""
    first = runs[0]
    did = f"{first.checks:,} checks, {first.failed} failed, in {first.seconds:.0f} s"
    rss = f"VmHWM of the process; VmRSS at the end {first.rss_mib * MIB / _MB:.0f} MB"
    return (
        Figure(name=f"{name}-cpu", samples=tuple(100 * run.cpu_share for run in runs), made_of=did),
        Figure(
            name=f"{name}-memory",
            samples=tuple(run.rss_peak_mib * MIB / _MB for run in runs),
            made_of=f"{rss}, {first.kept:,} results kept",
        ),
    )


def whole(run: Load) -> Load:
    """Return a run in which all was asked that was due; any other one is no sample."""
    due = run.endpoints * run.seconds / run.interval_seconds
    if run.failed or run.checks < due * NEARLY_ALL:
        raise OutsideError(
            f"{run.scheme}: {run.checks:,} of {due:,.0f} checks, {run.failed} failed",
            means="this machine was too busy to be asked, and what was left out has cost nothing",
            next_step="nox -s bench -- endpoints --rounds 3, when it is quiet",
        )
    return run


def _watch(*, tls: bool = False, full: bool = False) -> Load:
    how = f"{'HTTPS' if tls else 'HTTP'}{' with full rings' if full else ''}"
    say(f"bench: {service_load.ENDPOINTS:,} endpoints by {how}")
    return whole(service_load.measure(tls=tls, full=full, seconds=SECONDS))


def _several(make: Callable[[], T], count: int) -> list[T]:
    """Make it ``count`` times; raise what failed only when nothing went through."""
    failures: list[SealiftError] = []
    made = [one for one in (attempt(make, failures) for _ in range(count)) if one is not None]
    if not made:
        raise ManyErrors(failures)
    return made
