"""Which entries of ci/exceptions.yaml a release may use at all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.model.exceptions import LONGEST, Exception_, Kind, concerning, load, parse_former
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


ENTRY = """\
- kind: finding
  id: CVE-2026-12345
  owner: maintainers
  reason: it is not reached
  until: 2027-01-31
  package: openssl
"""


def read(tmp_path: Path, text: str) -> tuple[Exception_, ...]:
    path = tmp_path / "exceptions.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


@pytest.mark.parametrize("name", ["CVE-2026-12345", "GO-2026-4512", "GHSA-ab12-cd34-ef56", "DSA-5417-1"])
def test_an_exception_is_read(tmp_path: Path, name: str) -> None:
    (one,) = read(tmp_path, ENTRY.replace("CVE-2026-12345", name))
    assert (one.id, one.until) == (name, date(2027, 1, 31))
    assert read(tmp_path, "# nothing is excused\n") == ()


def test_a_waiver_ends_within_half_a_year_and_the_latest_day_is_named(tmp_path: Path) -> None:
    latest = datetime.now(UTC).date() + LONGEST
    (one,) = read(tmp_path, ENTRY.replace("2027-01-31", str(latest)))
    assert one.until == latest
    with pytest.raises(UsageError, match=r"\[0\]\.until: .* is more than 180 days from today") as refused:
        read(tmp_path, ENTRY.replace("2027-01-31", str(latest + timedelta(days=1))))
    assert refused.value.next_step == f"write until: {latest}, or an earlier day"
    assert parse_former(ENTRY.replace("2027-01-31", "9999-12-31"), tmp_path), "an earlier commit's is read"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "kind: finding\n  id: CVE-2026-12345",
            'kind: user\n  id: "1:1"',
            ":2: [0].id: '1:1' is not image.user",
        ),
        ("kind: finding\n  id: CVE-2026-12345", "kind: signer\n  id: me", ":2: [0].id: 'me' is not identity"),
        ("CVE-2026-12345", "cve-2026-12345", ":2: [0].id: 'cve-2026-12345' is not an advisory"),
        ("CVE-2026-12345", "GHSA-AB12-cd34-ef56", ":2: [0].id: "),
        ("CVE-2026-12345", "debian12", ":2: [0].id: 'debian12' is not an advisory"),
        ("kind: finding", "kind: base", ":2: [0].id: 'CVE-2026-12345' is not a suite"),
        ("kind: finding", "kind: findings", ":1: [0].kind: 'findings' is not one of finding, base"),
        ("2027-01-31", "2027-02-30", ":5: [0].until: 2027-02-30 cannot be read"),
        ("2027-01-31", "next year", ":5: [0].until: 'next year' is text, not a date"),
        ("  reason: it is not reached\n", "", ":1: [0]: the key reason is missing"),
        ("it is not reached", '"a\\nb"', ":4: [0].reason: "),
        ("it is not reached", "no", ":4: [0].reason: true or false where text is wanted: no"),
        (
            "  package: openssl\n",
            "  package: openssl\n  owner: me\n",
            ":7: [0].owner: the key is",
        ),
        (ENTRY, ENTRY + ENTRY, ":7: finding CVE-2026-12345 is excused twice"),
    ],
)
def test_a_mistake_in_an_exception_is_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in ENTRY
    with pytest.raises(UsageError) as raised:
        read(tmp_path, ENTRY.replace(old, new))
    assert f"exceptions.yaml{says}" in str(raised.value)
