"""What is said about images of this service, held against what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from sealift.compare.values import Measured, Verdict

MEGA = 1_000_000
# "About" is a quarter up or down.
ABOUT = 0.25
# Two runs of one image differ by as much, of the greatest.
SAME_MEMORY = 0.02


@dataclass(frozen=True)
class SizeClaim:
    """How large a kind is said to be, in megabytes: its base alone, or all with the service."""

    kind: str
    part: Literal["base", "total"]
    megabytes: float

    def __str__(self) -> str:
        return f"{self.kind}: {self.part} about {self.megabytes:g} MB"


SIZES = (
    SizeClaim("static", "base", 2),
    SizeClaim("static", "total", 15),
    SizeClaim("base", "base", 20),
    SizeClaim("base", "total", 35),
    SizeClaim("alpine", "base", 5),
    SizeClaim("alpine", "total", 25),
    SizeClaim("ubuntu", "base", 70),
    SizeClaim("ubuntu", "total", 90),
)
# From the smallest to the fullest.
ORDER = ("static", "base", "debian")


def megabytes(size: float) -> str:
    """Write a size as people compare it."""
    return f"{size / MEGA:.1f} MB"


def milliseconds(seconds: float) -> str:
    """Write a short time."""
    return f"{seconds * 1000:.0f} ms"


def claimed(kind: str, part: str) -> float | None:
    """Return what is said of a kind's size, in megabytes."""
    return next((c.megabytes for c in SIZES if (c.kind, c.part) == (kind, part)), None)


def judge(measured: Mapping[str, Measured]) -> tuple[Verdict, ...]:
    """Hold every claim against the measurement."""
    return (
        *(_size(claim, measured.get(claim.kind)) for claim in SIZES),
        _under_fifteen(measured.get("static")),
        *_in_order([measured[kind] for kind in ORDER if kind in measured]),
        _same_rate(list(measured.values())),
    )


def _size(claim: SizeClaim, found: Measured | None) -> Verdict:
    if found is None:
        return Verdict(claim=str(claim), verdict="not measured", measured="its image could not be had here")
    size = found.contents.base if claim.part == "base" else found.contents.total
    fits = abs(size.unpacked / MEGA - claim.megabytes) <= claim.megabytes * ABOUT
    words = f"{megabytes(size.unpacked)} unpacked, {megabytes(size.compressed)} compressed"
    return Verdict(claim=str(claim), verdict="supported" if fits else "corrected", measured=words)


def _under_fifteen(found: Measured | None) -> Verdict:
    claim = "static with the service is under 15 MB"
    if found is None:
        return Verdict(claim=claim, verdict="not measured", measured="")
    size = found.contents.total.unpacked
    fits = size < 15 * MEGA
    return Verdict(claim=claim, verdict="supported" if fits else "corrected", measured=megabytes(size))


def _in_order(found: list[Measured]) -> Iterator[Verdict]:
    names = " <= ".join(kind.kind for kind in found)
    starts = [kind.start for kind in found]
    words = ", ".join(f"{k.kind} {milliseconds(k.start)}" for k in found)
    noise = max((kind.spread for kind in found), default=0.0)
    if starts and max(starts) - min(starts) <= noise:
        words += f"; the difference is within the spread of the starts ({milliseconds(noise)})"
    yield Verdict(claim=f"start-up: {names}", verdict=_rising(starts, within=noise), measured=words)
    yield _memory(f"memory at rest: {names}", found)


def _memory(claim: str, found: list[Measured]) -> Verdict:
    """Judge by RSS; who is as good as equal is named."""
    within = max((kind.rss for kind in found), default=0) * SAME_MEMORY
    words = [f"{k.kind} {megabytes(k.rss)} RSS, {megabytes(k.cgroup)} cgroup" for k in found]
    same = [f"{a.kind} and {b.kind}" for a, b in pairwise(found) if abs(b.rss - a.rss) <= within]
    if same:
        bound = f"{SAME_MEMORY:.0%}".replace("%", " %")
        words.append(f"the RSS of {', of '.join(same)} differ by less than {bound}, which counts as the same")
    verdict = _rising([kind.rss for kind in found], within=within)
    return Verdict(claim=claim, verdict=verdict, measured="; ".join(words))


def _rising(values: Iterable[float], *, within: float) -> Literal["supported", "corrected", "not measured"]:
    """Tell whether none is smaller than the one before; what is within the noise is no order."""
    listed = list(values)
    if len(listed) < len(ORDER):
        return "not measured"
    steps = [after - before for before, after in pairwise(listed)]
    rises = min(steps) >= -within and max(listed) - min(listed) > within
    return "supported" if rises else "corrected"


def _same_rate(found: list[Measured]) -> Verdict:
    """Hold the medians against the spread of one kind's own runs: no smaller difference can be told here."""
    claim = "requests per second do not depend on the kind"
    if len(found) < 2 or min(len(kind.running.requests_per_second) for kind in found) < 2:  # noqa: PLR2004
        return Verdict(claim=claim, verdict="not measured", measured="one run differs from nothing")
    rates = [kind.requests_per_second for kind in found]
    apart, noise = max(rates) - min(rates), max(kind.rate_spread for kind in found)
    words = ", ".join(f"{kind.kind} {kind.requests_per_second:.0f}" for kind in found)
    words += f", one client; {apart:.0f} apart, the runs of one kind spread over {noise:.0f}"
    if apart > noise:
        return Verdict(claim=claim, verdict="corrected", measured=words)
    if noise > max(rates) * ABOUT:
        return Verdict(claim=claim, verdict="not measured", measured=f"{words}, too far to tell")
    return Verdict(claim=claim, verdict="supported", measured=words)
