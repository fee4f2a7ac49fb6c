from __future__ import annotations

from datetime import date, timedelta

import pytest

from sealift.model.exceptions import Exception_
from sealift.stations.base import SUPPORT_ENDS, _look_support
from sealift.stations.gate import Looks

END = SUPPORT_ENDS["debian12"]
DAY = timedelta(days=1)


def excuse(until: date, suite: str = "debian12") -> Exception_:
    return Exception_(kind="base", id=suite, owner="somebody", reason="it is known", until=until)


def verdict(today: date, *exceptions: Exception_, suite: str = "debian12") -> str:
    looks = Looks("base", suite)
    _look_support(looks, suite, exceptions, today)
    (gate,) = looks.gates
    return f"{gate.verdict}: {gate.detail}"


@pytest.mark.parametrize("today", [END - DAY, END])
def test_to_its_last_day_a_suite_is_supported(today: date) -> None:
    assert verdict(today) == f"pass: debian12 is supported until {END}"


def test_a_suite_whose_end_nobody_has_named_is_supported() -> None:
    assert verdict(END + DAY, suite="debian13") == "pass: debian13 is supported"


def test_afterwards_it_is_refused() -> None:
    wanted = 'it needs a waiver in ci/exceptions.yaml: kind: base, id: "debian12"'
    assert verdict(END + DAY) == f"refused: debian12 lost its support on {END}; {wanted}"


def test_an_exception_excuses_to_its_own_last_day_and_is_named() -> None:
    until = END + 10 * DAY
    assert verdict(until, excuse(until)).startswith("excused: debian12 lost its support")
    assert "it is known (somebody, until" in verdict(until, excuse(until))
    assert verdict(until + DAY, excuse(until)).endswith(f"the waiver of somebody ended on {until}")
    assert verdict(until + DAY, excuse(until), excuse(until + DAY)).startswith("excused")


def test_another_suites_exception_excuses_nothing() -> None:
    assert verdict(END + DAY, excuse(END + DAY, "debian13")).startswith("refused")
