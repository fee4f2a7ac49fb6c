"""Claims against made-up measurements."""

from __future__ import annotations

import pytest

from sealift.compare.claims import ORDER, judge
from sealift.compare.values import Measured, Verdict
from tests.unit.compare.example import kind


def verdict(claim: str, *kinds: Measured) -> Verdict:
    (found,) = [v for v in judge({k.kind: k for k in kinds}) if v.claim.startswith(claim)]
    return found


@pytest.mark.parametrize(
    ("megabytes", "said"),
    [(2.0, "supported"), (1.5, "supported"), (2.5, "supported"), (1.4, "corrected"), (2.6, "corrected")],
)
def test_about_is_a_quarter_up_or_down(megabytes: float, said: str) -> None:
    found = verdict("static: base", kind("static", sizes=(megabytes, 14)))
    assert found.verdict == said
    assert f"{megabytes:.1f} MB unpacked" in found.measured


def test_what_was_not_measured_is_not_judged() -> None:
    assert verdict("ubuntu: total", kind("static")).verdict == "not measured"
    assert verdict("start-up", kind("static"), kind("base")).verdict == "not measured"
    assert verdict("requests", kind("static")).verdict == "not measured"
    assert verdict("static with the service").verdict == "not measured"


@pytest.mark.parametrize(("total", "said"), [(14.9, "supported"), (15.0, "corrected")])
def test_static_is_under_fifteen(total: float, said: str) -> None:
    assert verdict("static with the service", kind("static", sizes=(2, total))).verdict == said


def three(static: float, base: float, debian: float, *, spread: float = 0.0) -> list[Measured]:
    medians = {"static": static, "base": base, "debian": debian}
    return [kind(name, starts=(m - spread, m, m + spread)) for name, m in medians.items()]


def test_start_up_rises_when_the_medians_do_and_the_noise_is_small() -> None:
    assert verdict("start-up", *three(0.1, 0.2, 0.3)).verdict == "supported"
    assert verdict("start-up", *three(0.1, 0.3, 0.2)).verdict == "corrected"


def test_a_rise_within_the_spread_proves_no_order() -> None:
    found = verdict("start-up", *three(0.200, 0.201, 0.202, spread=0.05))
    assert found.verdict == "corrected"
    assert "within the spread" in found.measured


def test_memory_is_judged_by_the_process() -> None:
    rising = [kind("static", rss=9), kind("base", rss=10), kind("debian", rss=11)]
    assert verdict("memory", *rising).verdict == "supported"
    assert verdict("memory", kind("static", rss=12), *rising[1:]).verdict == "corrected"
    level = verdict("memory", *rising[:2], kind("debian", rss=10))
    assert level.verdict == "supported"
    assert "RSS of base and debian differ by less than 2 %, which counts as the same" in level.measured
    assert "the same" not in verdict("memory", *rising).measured
    assert verdict("memory", *(kind(name, rss=10) for name in ORDER)).verdict == "corrected"


@pytest.mark.parametrize(
    ("static", "base", "said"),
    [
        ((990, 1000, 1010), (990, 1000, 1010), "supported"),
        # A twentieth apart is nothing between runs that differ by a tenth, and much between runs that agree.
        ((950, 1000, 1050), (945, 950, 955), "supported"),
        ((999, 1000, 1001), (945, 950, 955), "corrected"),
        # Runs that are all over the place prove no equality.
        ((600, 1000, 1400), (945, 950, 955), "not measured"),
    ],
)
def test_rates_are_the_same_within_the_spread_of_the_runs(
    static: tuple[float, ...], base: tuple[float, ...], said: str
) -> None:
    found = verdict("requests", kind("static", rates=static), kind("base", rates=base))
    assert found.verdict == said
    assert "apart, the runs of one kind spread over" in found.measured


def test_a_rate_that_was_taken_once_proves_nothing() -> None:
    assert verdict("requests", kind("static", rates=(1,)), kind("base")).verdict == "not measured"


def test_medians_and_the_spread() -> None:
    found = kind("static", starts=(0.5, 0.1, 0.2, 0.3, 0.4))
    assert found.start == 0.3
    assert found.spread == pytest.approx(0.3)
    assert found.cgroup == 4_000_000
    assert kind("static", starts=(0.5,)).spread == 0
