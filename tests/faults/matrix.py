"""The whole matrix, as values: service x station x fault."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.faults.fault import Fault, Kind, Match, Request, everything, writes
from tests.faults.outside import OUTSIDE, Outside

RETRY_AFTER = 2
STATUSES = (401, 403, 404, 409, 422)
# Each of them may be another answer a moment later, so each is also met once and no more.
PASSING = (
    Fault(kind=Kind.STATUS, code=429, retry_after=RETRY_AFTER),
    Fault(kind=Kind.STATUS, code=500),
    Fault(kind=Kind.STATUS, code=502),
    Fault(kind=Kind.RESET),
    Fault(kind=Kind.TRUNCATED),
    Fault(kind=Kind.GARBAGE),
    Fault(kind=Kind.PAGE),
)
REFUSED = Fault(kind=Kind.REFUSED)
SILENT = Fault(kind=Kind.SILENT, times=1)
LOST = Fault(kind=Kind.LOST, match=writes)
# Here the first one who asks is another program, whose timeout is minutes.
IMPATIENT = frozenset({("registry", "base"), ("builder", "image"), ("CT log", "sign")})
# Where a station has begun to write, and not ended: of so many writes, each at one point of it.
MIDWAY: Mapping[tuple[str, str], tuple[int, ...]] = {
    ("registry", "push"): (4,),
    ("registry", "sign"): (3, 17),
    ("registry", "promote"): (1, 2, 5),
    ("GitHub", "draft"): (1, 3),
}
ALWAYS = (
    REFUSED,
    *(Fault(kind=Kind.STATUS, code=code) for code in STATUSES),
    *PASSING,
    Fault(kind=Kind.SLOW_FIRST, seconds=0.3),
    Fault(kind=Kind.SLOW_BODY, seconds=0.3),
    Fault(kind=Kind.WRONG),
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One cell of the matrix. ``hits`` says in words which requests the fault is about."""

    outside: Outside
    station: str
    fault: Fault
    hits: str

    @property
    def name(self) -> str:
        """What it is called on a command line and in a test's name."""
        return f"{self.outside.name} | {self.station} | {self.fault} | {self.hits}"

    @property
    def passes(self) -> bool:
        """Tell whether the fault is over or can be borne: then the station must end well."""
        slow = self.fault.kind in (Kind.SLOW_FIRST, Kind.SLOW_BODY)
        return slow or self.fault.times is not None or self.fault.lasts is not None


def cases() -> tuple[Case, ...]:
    """Return every cell."""
    return tuple(
        case for outside in OUTSIDE for station in outside.stations for case in _row(outside, station)
    )


def sample(everything: Sequence[Case], count: int, seed: int) -> tuple[Case, ...]:
    """Choose some: one of each station of each service first, the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    rows: dict[tuple[str, str], list[Case]] = {}
    for case in everything:
        rows.setdefault((case.outside.name, case.station), []).append(case)
    chosen = [chance.choice(row) for row in rows.values()]
    rest = [case for case in everything if case not in chosen]
    chosen += chance.sample(rest, max(0, min(count - len(chosen), len(rest))))
    return tuple(case for case in everything if case in chosen)


def _row(outside: Outside, station: str) -> Iterator[Case]:
    writing = station in outside.writing
    yield from (_case(outside, station, fault, "every request") for fault in ALWAYS)
    if writing:
        late = [f for f in ALWAYS if f.kind not in (Kind.WRONG, Kind.REFUSED)]
        yield from (_case(outside, station, replace(f, match=writes), "every write") for f in late)
    if outside.name == "OIDC issuer":
        # It is only read: a token that was lost is another one the next time.
        yield _case(outside, station, replace(LOST, match=everything), "every request")
        yield _case(outside, station, replace(LOST, match=everything, times=1), "the first request")
    elif writing or outside.stations == ("sign",):
        yield _case(outside, station, LOST, "every write")
        yield _case(outside, station, replace(LOST, times=1), "the first write")
    yield from _midway(outside, station)
    first, match = ("the first write", writes) if writing else ("the first request", everything)
    yield from (_case(outside, station, replace(f, match=match, times=1), first) for f in PASSING)
    yield _case(outside, station, replace(REFUSED, lasts=3.0), "for 3 s")
    if (outside.name, station) not in IMPATIENT:
        yield _case(outside, station, SILENT, "the first request")


def _midway(outside: Outside, station: str) -> Iterator[Case]:
    for done in MIDWAY.get((outside.name, station), ()):
        broken = Fault(kind=Kind.STATUS, code=500, match=writes, skip=done)
        yield _case(outside, station, broken, f"every write after {done}")
        yield _case(outside, station, replace(LOST, skip=done, times=1), f"write {done + 1}")


def _case(outside: Outside, station: str, fault: Fault, hits: str) -> Case:
    if fault.kind is Kind.WRONG:
        fault = replace(fault, match=_named_by_digest(outside))
    return Case(outside=outside, station=station, fault=fault, hits=hits)


def _named_by_digest(outside: Outside) -> Match:
    """Match what has a digest to be held against; of Sigstore's answers each one is signed."""

    def of_registry(request: Request) -> bool:
        return request.method == "GET" and "/sha256:" in request.path and "/referrers/" not in request.path

    def of_github(request: Request) -> bool:
        return request.path.startswith("/storage/")

    return {"registry": of_registry, "github": of_github}.get(outside.service, everything)
