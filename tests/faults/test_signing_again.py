"""A log that loses an answer in the middle of a batch: what was made before is not made again."""

from __future__ import annotations

import pytest

from sealift.model.evidence import SignedAll
from tests.faults.fault import Fault, Kind, writes
from tests.faults.judging import ONE
from tests.faults.stand import ENOUGH, Stand, play

pytestmark = pytest.mark.programs

# Signature and provenance of the index; these, two lists and the scan of each of two platforms.
STATEMENTS = 2 + 2 * 5


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind=Kind.LOST, match=writes, times=1),
        Fault(kind=Kind.STATUS, code=503, retry_after=2, match=writes, times=1),
    ],
    ids=str,
)
def test_one_failure_costs_one_entry_more(stand: Stand, fault: Fault) -> None:
    line, log = stand.line("sign", patience=ENOUGH, variants=ONE), stand.proxies["rekor1"]
    before = len(log.seen)
    with log.failing(fault) as met:
        ran = play(line, ["sign"])
    assert (ran.code, met.count) == (0, 1), ran.told
    entries = [seen for seen in log.seen[before:] if seen.request.writes]
    assert len(entries) == STATEMENTS + 1
    signed = line.run.read("sign", str(line.plan.version), SignedAll)
    assert [entry.made for entry in signed.entries] == [True] * STATEMENTS
    assert f"again in {'' if fault.retry_after is None else fault.retry_after}" in ran.told
