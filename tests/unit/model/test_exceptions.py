"""Which entries of ci/exceptions.yaml a release may use at all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from sealift.model.exceptions import Exception_, Kind, concerning, load
from tests.conftest import ROOT

NOTICE = timedelta(days=30)


def excused(kind: Kind, about: str) -> Exception_:
    return Exception_(kind=kind, id=about, owner="somebody", reason="because", until=date(2027, 1, 1))


def test_another_suites_entry_concerns_no_release_but_every_finding_does() -> None:
    old, new = excused("base", "debian12"), excused("base", "debian13")
    finding = excused("finding", "CVE-2026-1")
    assert concerning((old, new, finding), "debian13") == (new, finding)
    assert concerning((old, finding), "debian12") == (old, finding)


def test_whoever_answers_for_an_exception_is_told_a_month_before_releases_are_refused() -> None:
    soon = datetime.now(UTC).date() + NOTICE
    ending = [str(one) for one in load(ROOT / "ci" / "exceptions.yaml") if not one.holds_on(soon)]
    assert ending == [], "decide now: do without (sealift suite moves the bases), or give it a later last day"
