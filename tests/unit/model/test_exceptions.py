"""Which entries of ci/exceptions.yaml a release may use at all."""

from __future__ import annotations

from datetime import date

from sealift.model.exceptions import Exception_, Kind, concerning


def excused(kind: Kind, about: str) -> Exception_:
    return Exception_(kind=kind, id=about, owner="somebody", reason="because", until=date(2027, 1, 1))


def test_another_suites_entry_concerns_no_release_but_every_finding_does() -> None:
    old, new = excused("base", "debian12"), excused("base", "debian13")
    finding = excused("finding", "CVE-2026-1")
    assert concerning((old, new, finding), "debian13") == (new, finding)
    assert concerning((old, finding), "debian12") == (old, finding)
