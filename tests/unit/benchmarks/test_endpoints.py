"""The service's figures: what a run gives, and which run is none."""

from __future__ import annotations

import pytest
from benchmarks.service_load import Measured as Load
from benchmarks.speed import page
from benchmarks.speed.__main__ import makers
from benchmarks.speed.catalog import NOT_UNASKED, ROWS
from benchmarks.speed.endpoints import figures_of, whole

from sealift.errors import OutsideError
from tests.unit.benchmarks.test_page import MEASURED


def load(*, cpu: float = 0.07, peak: float = 30.0, checks: int = 6000, failed: int = 0) -> Load:
    return Load(
        scheme="http",
        endpoints=1000,
        interval_seconds=10,
        seconds=60.0,
        checks=checks,
        failed=failed,
        kept=8000,
        cpu_share=cpu,
        rss_mib=20.0,
        rss_peak_mib=peak,
        date="2026-11-26",
        machine="this one",
    )


def test_cpu_is_a_share_of_one_core_and_memory_the_peak_in_megabytes() -> None:
    runs = [load(cpu=0.07), load(cpu=0.16), load(cpu=0.08, peak=95.0)]
    cpu, memory = figures_of("endpoints-http", runs)
    assert cpu.met
    assert memory.met
    rows = [page.row_of(figure, MEASURED) for figure in (cpu, memory)]
    assert (
        "| 15.0 % or less | **8.0 %** (met) | 7.0 % to 16.0 % | 6,000 checks, 0 failed, in 60 s |" in rows[0]
    )
    # 95 MiB of one run are within 100 MB by less than they look.
    assert "| 100 MB or less | **31 MB** (met) | 31 MB to 100 MB | VmHWM of the process; VmRSS" in rows[1]


@pytest.mark.parametrize("name", ["endpoints-http", "endpoints-https", "endpoints-full"])
def test_what_is_too_much_is_missed(name: str) -> None:
    assert [figure.met for figure in figures_of(name, [load(cpu=0.151, peak=95.4)])] == [False, False]


@pytest.mark.parametrize("run", [load(checks=5800), load(failed=1)])
def test_a_run_that_left_checks_out_is_no_sample(run: Load) -> None:
    with pytest.raises(OutsideError, match="too busy"):
        whole(run)


def test_a_whole_run_is_one() -> None:
    assert whole(load(checks=5900)) == load(checks=5900)


def test_they_are_measured_by_name_alone() -> None:
    named = {row.figure for name, row in ROWS.items() if name.startswith("endpoints")}
    assert named <= NOT_UNASKED
    assert {name for name, _ in makers(sorted(named), 3)} == named
