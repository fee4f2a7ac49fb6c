"""Which command repairs what was found, and how the status ends."""

from __future__ import annotations

import pytest

from sealift.model.names import Version
from sealift.model.status import (
    AN_IMAGE,
    BURNED,
    NO_PLATFORM,
    UNKNOWN_HERE,
    Finding,
    Status,
    Verdict,
    What,
    compared,
)
from sealift.report.status import lines
from sealift.stations.repair import Place, repair

DESK = Place(world="rehearsal", version=Version.parse("1.2.3"))
REAL = Place(world="production", version=Version.parse("1.2.3"), asked=True)
RERUN = (
    "gh run rerun $(gh run list --workflow=release.yml --branch=v1.2.3 --limit=1 --json=databaseId "
    "--jq='.[0].databaseId')"
)
NEW = "release a new version: "


def found(what: What, verdict: Verdict, *, expected: str = "this", got: str = "that") -> Finding:
    return Finding(what=what, subject="something", verdict=verdict, expected=expected, got=got)


PUBLISHED = found("GitHub release", "agrees", got="published")
DRAFT = found("GitHub release", "differs", expected="published", got="a draft")
GONE = found("GitHub release", "missing")
TAG, TAGGED, WITHHELD = (found("version tag", v) for v in ("differs", "agrees", "missing"))
BEHIND = found("moving tag", "differs", expected="1.2.3", got="1.2.2")
NEWER = found("moving tag", "differs", expected="1.3.0", got="1.2.3")


@pytest.mark.parametrize(
    ("findings", "desk", "real"),
    [
        ([PUBLISHED, TAGGED], "", ""),
        ([], "", ""),
        ([GONE, WITHHELD, WITHHELD], "sealift release", RERUN),
        ([found("git tag", "missing"), GONE, WITHHELD], "sealift release", "git push origin v1.2.3"),
        ([found("git tag", "missing"), DRAFT, TAGGED], "sealift release", "git push origin v1.2.3"),
        ([DRAFT, WITHHELD, found("signature", "missing")], "sealift release", RERUN),
        ([DRAFT, TAGGED, found("asset", "missing")], "sealift release", RERUN),
        ([PUBLISHED, TAGGED, found("attestation", "differs")], "sealift release", RERUN),
        ([PUBLISHED, TAGGED, found("platform", "missing")], "sealift push", RERUN),
        ([DRAFT, TAGGED, found("platform", "missing")], "sealift release", RERUN),
        ([PUBLISHED, WITHHELD, BEHIND], "sealift release", RERUN),
        ([PUBLISHED, TAGGED, BEHIND], "sealift promote", RERUN),
        ([PUBLISHED, TAGGED, BEHIND, NEWER], "sealift promote --version=1.3.0", RERUN.replace("2.3", "3.0")),
        ([PUBLISHED, TAGGED, found("signature", "not checked")], "sealift status", "status --version=1.2.3"),
        ([PUBLISHED, found("git tag", "not checked")], "sealift status", "status --version=1.2.3"),
        (
            [PUBLISHED, found("git tag", "not checked", expected=UNKNOWN_HERE)],
            "git fetch origin tag v1.2.3",
            "git fetch origin tag v1.2.3",
        ),
    ],
)
def test_one_command_repairs_what_was_found(findings: list[Finding], desk: str, real: str) -> None:
    for place, command in ((DESK, desk), (REAL, real)):
        means, said = repair(findings, place)
        assert said == command if command in ("", RERUN) else command in said
        assert bool(means) == bool(said)


@pytest.mark.parametrize(
    "findings",
    [
        [PUBLISHED, TAGGED, found("asset", "missing")],
        [PUBLISHED, TAGGED, found("asset", "differs")],
        [PUBLISHED, TAGGED, found("other asset", "differs")],
        [PUBLISHED, TAGGED, found("release page", "differs")],
        [found("GitHub release", "differs", got="published as a prerelease"), TAGGED],
        [DRAFT, TAG],
        [found("git tag", "differs"), GONE, WITHHELD],
        [PUBLISHED, TAG, BEHIND, found("signature", "missing")],
    ],
)
def test_what_was_published_is_not_changed_but_followed(findings: list[Finding]) -> None:
    assert repair(findings, DESK)[1] == f"{NEW}sealift release --version=1.2.4"
    assert repair(findings, REAL)[1] == f"{NEW}git tag v1.2.4 && git push origin v1.2.4"


@pytest.mark.parametrize(
    "findings",
    [
        [found("GitHub release", "differs", expected="published", got=BURNED), TAGGED],
        [found("GitHub release", "differs", expected="published", got=BURNED), TAG, BEHIND],
        [DRAFT, TAGGED, found("platform", "missing", expected=AN_IMAGE, got="nothing")],
        [PUBLISHED, TAGGED, found("platform", "differs", expected=NO_PLATFORM, got="sha256:...")],
        [DRAFT, TAGGED, found("index", "differs")],
    ],
)
def test_what_no_command_can_bring_right_is_followed_by_another_version(findings: list[Finding]) -> None:
    assert repair(findings, DESK)[1] == f"{NEW}sealift release --version=1.2.4"


def test_another_version_comes_after_what_its_line_has_already() -> None:
    tags = [found("moving tag", "agrees", expected=v, got=v) for v in ("1.2.7", "1.9.0", "2.0.0")]
    assert repair([PUBLISHED, TAG, *tags], DESK)[1] == f"{NEW}sealift release --version=1.2.8"


def test_of_several_releases_all_but_one_are_deleted() -> None:
    findings = [found("GitHub release", "differs", got="o/n has 2 releases or drafts of v1.2.3"), WITHHELD]
    assert "delete all but one release or draft of v1.2.3" in repair(findings, REAL)[1]
    assert repair(findings, DESK)[1] == "sealift rehearse reset"


def test_a_strangers_file_is_taken_out_of_a_draft() -> None:
    findings = [DRAFT, TAGGED, found("other asset", "differs")]
    assert repair(findings, REAL)[1] == "gh release delete-asset v1.2.3 something"
    assert repair(findings, DESK)[1] == "sealift rehearse reset"


def test_a_command_leads_to_the_same_world() -> None:
    place = Place(world="rehearsal", version=DESK.version, asked=True, options="--world-name=mine --dirty")
    assert repair([GONE, WITHHELD], place)[1] == "sealift release --version=1.2.3 --world-name=mine --dirty"


def test_what_was_released_elsewhere_is_checked_out_first() -> None:
    place = Place(world="rehearsal", version=DESK.version, asked=True, checkout="v1.2.3")
    assert repair([GONE, WITHHELD], place)[1] == "git checkout v1.2.3 && sealift release --version=1.2.3"
    assert repair([PUBLISHED, TAGGED, NEWER], place)[1] == "sealift promote --version=1.3.0"


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["agrees", "agrees"], 0),
        (["agrees", "missing"], 3),
        (["differs", "not checked"], 3),
        (["not checked", "agrees"], 4),
        ([], 4),
    ],
)
def test_the_status_ends_with_the_worst(verdicts: list[Verdict], code: int) -> None:
    findings = tuple(found("asset", verdict) for verdict in verdicts)
    status = Status(version=DESK.version, world="rehearsal", findings=findings, means="", repair="")
    assert status.exit_code == code


def test_nothing_is_missing_and_another_thing_differs() -> None:
    assert compared("asset", "a", expected=1, got=None).verdict == "missing"
    assert compared("asset", "a", expected=1, got=2).verdict == "differs"
    assert compared("asset", "a", expected=1, got=1).verdict == "agrees"


def test_each_line_says_what_was_expected_and_what_is_there() -> None:
    digest = f"sha256:{'a' * 64}"
    findings = (TAGGED, found("platform", "missing", expected=digest, got="nothing"))
    status = Status(
        version=DESK.version, world="rehearsal", findings=findings, means="it is lost", repair="sealift x"
    )
    assert list(lines(status)) == [
        "agrees       version tag  something: that",
        "missing      platform     something: expected sha256:aaaaaaaaaaaa, got nothing",
        "1.2.3, rehearsal: 1 agrees, 1 missing",
        "it is lost: sealift x",
    ]
