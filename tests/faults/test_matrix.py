"""Some cells of the matrix, each service and each station of it among them; ``nox -s faults`` plays all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sealift.commands.opening import Asked
from tests.faults.fault import Kind
from tests.faults.judging import judge
from tests.faults.matrix import Case, cases, sample
from tests.faults.outside import OUTSIDE
from tests.faults.stand import Stand

pytestmark = pytest.mark.programs

MATRIX = cases()
# The builder alone speaks gRPC.
OF_GRPC = "builder | image | 429 with Retry-After: 2 | the first request"
SAMPLE = (*sample(MATRIX, 29, seed=1), *(case for case in MATRIX if case.name == OF_GRPC))


def test_every_fault_is_in_the_row_of_every_station_of_every_service() -> None:
    rows = {(outside.name, station) for outside in OUTSIDE for station in outside.stations}
    kinds = set(Kind) - {Kind.LOST, Kind.SILENT}
    for name, station in rows:
        here = [c for c in MATRIX if (c.outside.name, c.station) == (name, station)]
        assert {c.fault.kind for c in here} >= kinds
        assert {c.fault.code for c in here} >= {401, 403, 404, 409, 422, 429, 500, 502}
    lost = {(c.outside.name, c.station) for c in MATRIX if c.fault.kind is Kind.LOST}
    reading = {("registry", "base"), ("registry", "verify"), ("registry without Referrers API", "verify")}
    assert rows - lost == {*reading, ("builder", "image")}


def test_every_station_of_every_service_is_in_the_sample() -> None:
    assert {(c.outside.name, c.station) for c in SAMPLE} == {(c.outside.name, c.station) for c in MATRIX}
    assert [case.name for case in SAMPLE].count(OF_GRPC) == 1


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.name)
def test_what_fails_outside_is_survived_or_ends_as_it_should(
    stands: Callable[[Asked], Stand], case: Case
) -> None:
    result = judge(case, stands(case.outside.world))
    assert result.met, f"the fault was never met: {result.said}"
    assert result.problems == ()
