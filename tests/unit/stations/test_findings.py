"""What two scanners found is joined and judged: values in, values out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.errors import DefectError
from sealift.model.exceptions import Exception_
from sealift.stations.findings import RANK, Verdict, join, judge
from sealift.tools.govulncheck import GoFinding
from sealift.tools.trivy import Severity, TrivyFinding

TODAY = date(2026, 11, 24)
CLIENT = "github.com/prometheus/client_golang"
TRIVY = TrivyFinding(
    id="CVE-2022-21698",
    aliases=("GHSA-cg3q-j54f-5p7p",),
    package=CLIENT,
    installed="v1.11.0",
    fixed="1.11.1",
    severity="HIGH",
    status="fixed",
    kind="lang-pkgs",
    target="service",
    purl="",
    title="a title",
)
GO = GoFinding(
    id="GO-2022-0322",
    aliases=("CVE-2022-21698",),
    module=CLIENT,
    found="v1.11.0",
    fixed="v1.11.1",
    symbol_reached=True,
    summary="a summary",
)
SSL = replace(TRIVY, id="CVE-2023-5363", aliases=(), package="libssl3", installed="3.0.11", fixed="3.0.12")


def excuse(
    name: str, package: str | None = None, until: date = TODAY, kind: Literal["finding", "base"] = "finding"
) -> Exception_:
    return Exception_(
        kind=kind, id=name, owner="somebody", reason="it is harmless", until=until, package=package
    )


def outcome(verdict: Verdict) -> str:
    """Say which of the three an only finding became."""
    counts = {"refused": verdict.refused, "excused": verdict.excused, "noted": verdict.noted}
    (where,) = [name for name, found in counts.items() if found]
    assert len(counts[where]) == 1
    return where


def test_what_both_saw_is_one_issue_by_all_its_names() -> None:
    (issue,) = join([TRIVY], [GO])
    assert issue.ids == ("CVE-2022-21698", "GHSA-cg3q-j54f-5p7p", "GO-2022-0322")
    assert (issue.severity, issue.scanners, issue.symbol_reached) == ("HIGH", ("govulncheck", "trivy"), True)
    assert (issue.installed, issue.fixed, issue.title) == ("1.11.0", "1.11.1", "a title")
    assert str(issue) == (
        f"HIGH CVE-2022-21698 (GHSA-cg3q-j54f-5p7p, GO-2022-0322) in {CLIENT} 1.11.0, fixed in 1.11.1, "
        "an affected function is in the binary"
    )


def test_names_that_meet_in_a_third_are_one_weakness() -> None:
    """Neither shares a name with the other; a third shares one with each."""
    one = replace(GO, id="GO-1", aliases=("CVE-1",))
    other = replace(GO, id="GO-2", aliases=("CVE-2",))
    bridge = replace(TRIVY, id="CVE-1", aliases=("CVE-2",))
    for order in ([one, other], [other, one]):
        (issue,) = join([bridge], order)
        assert set(issue.ids) == {"GO-1", "GO-2", "CVE-1", "CVE-2"}


def test_one_weakness_in_two_packages_or_versions_stays_two() -> None:
    assert len(join([TRIVY, replace(TRIVY, package="other")], [])) == 2
    assert len(join([TRIVY, replace(TRIVY, installed="v1.10.0")], [])) == 2
    assert len(join([SSL, TRIVY], [])) == 2


def test_go_itself_is_written_in_two_ways() -> None:
    stdlib = replace(TRIVY, id="CVE-9", aliases=(), package="stdlib", installed="v1.20.0")
    go = replace(GO, id="GO-9", aliases=("CVE-9",), module="stdlib", found="go1.20.0")
    (issue,) = join([stdlib], [go])
    assert issue.installed == "1.20.0"
    odd = replace(stdlib, installed="god-mode")
    assert join([odd], [])[0].installed == "god-mode"


def test_the_worst_severity_the_first_fix_and_any_reach_count() -> None:
    (issue,) = join(
        [replace(TRIVY, severity="LOW", fixed=None), replace(TRIVY, severity="CRITICAL", target="other")],
        [replace(GO, symbol_reached=False), GO],
    )
    assert (issue.severity, issue.fixed, issue.symbol_reached) == ("CRITICAL", "1.11.1", True)
    (issue,) = join([], [replace(GO, symbol_reached=False)])
    assert "no affected function is in the binary" in str(issue)


@pytest.mark.parametrize(
    ("severity", "fixed", "became"),
    [
        ("CRITICAL", "1.1", "refused"),
        ("HIGH", "1.1", "refused"),
        ("UNKNOWN", "1.1", "refused"),
        ("MEDIUM", "1.1", "noted"),
        ("LOW", "1.1", "noted"),
        ("CRITICAL", None, "noted"),
        ("UNKNOWN", None, "noted"),
    ],
)
def test_what_refuses(severity: Severity, fixed: str | None, became: str) -> None:
    found = replace(TRIVY, severity=severity, fixed=fixed)
    assert outcome(judge([found], [], [], today=TODAY)) == became


def test_what_nobody_fixed_refuses_where_the_gate_is_told_so() -> None:
    verdict = judge([replace(TRIVY, fixed=None)], [], [], today=TODAY, require_fix=False)
    assert outcome(verdict) == "refused"
    assert verdict.refused[0].why == "HIGH and not excused"
    assert "no fix yet" in str(verdict.refused[0])


def test_the_lowest_severity_that_is_named_counts() -> None:
    medium = replace(TRIVY, severity="MEDIUM")
    assert outcome(judge([medium], [], [], today=TODAY, severities=["MEDIUM"])) == "refused"
    assert outcome(judge([TRIVY], [], [], today=TODAY, severities=["CRITICAL"])) == "noted"


@pytest.mark.parametrize("severities", [(), ("high",), ("HIGH", "URGENT")])
def test_a_gate_that_would_let_everything_pass_is_a_defect(severities: tuple[str, ...]) -> None:
    with pytest.raises(DefectError, match="severities must be some of"):
        judge([TRIVY], [], [], today=TODAY, severities=severities)


@pytest.mark.parametrize("name", ["CVE-2022-21698", "GHSA-cg3q-j54f-5p7p", "GO-2022-0322"])
@pytest.mark.parametrize("package", [None, CLIENT])
def test_an_exception_by_any_name_excuses_to_its_last_day(name: str, package: str | None) -> None:
    verdict = judge([TRIVY], [GO], [excuse(name, package)], today=TODAY)
    assert outcome(verdict) == "excused"
    assert verdict.excused[0].why == "excused by somebody until 2026-11-24: it is harmless"


@pytest.mark.parametrize(
    "other",
    [excuse("CVE-2022-21698", "other"), excuse("CVE-0000-0000"), excuse("CVE-2022-21698", kind="base")],
)
def test_an_exception_about_something_else_excuses_nothing(other: Exception_) -> None:
    verdict = judge([TRIVY], [], [other], today=TODAY)
    assert outcome(verdict) == "refused"
    assert verdict.refused[0].why == "HIGH and fixable"


def test_an_exception_that_ended_is_named_and_another_may_hold() -> None:
    ended = excuse("GO-2022-0322", until=date(2026, 11, 23))
    verdict = judge([TRIVY], [GO], [ended], today=TODAY)
    assert verdict.refused[0].why == "HIGH and fixable; the exception of somebody ended on 2026-11-23"
    assert outcome(judge([TRIVY], [GO], [ended, excuse("CVE-2022-21698")], today=TODAY)) == "excused"


def test_what_is_below_the_gate_needs_no_excuse() -> None:
    low = replace(TRIVY, severity="LOW")
    assert outcome(judge([low], [], [excuse("CVE-2022-21698")], today=TODAY)) == "noted"


ids = st.sampled_from(["CVE-1", "CVE-2", "GO-1", "GHSA-1", "DSA-1"])
findings = st.lists(
    st.builds(
        replace,
        st.just(TRIVY),
        id=ids,
        aliases=st.lists(ids, max_size=2).map(tuple),
        package=st.sampled_from(["a", "b"]),
        severity=st.sampled_from(sorted(RANK)),
        fixed=st.sampled_from([None, "2"]),
    ),
    max_size=6,
)


@given(findings)
def test_nothing_is_lost_and_the_worst_comes_first(found: list[TrivyFinding]) -> None:
    verdict = judge(found, [], [], today=TODAY)
    judged = [*verdict.refused, *verdict.excused, *verdict.noted]
    for one in found:
        assert any(one.id in j.issue.ids and one.package == j.issue.package for j in judged)
    ranks = [RANK[j.issue.severity] for j in verdict.refused]
    assert ranks == sorted(ranks, reverse=True)


@given(findings, st.randoms())
def test_their_order_does_not_matter(found: list[TrivyFinding], order: object) -> None:
    shuffled = list(found)
    order.shuffle(shuffled)  # type: ignore[attr-defined]

    def told(of: list[TrivyFinding]) -> set[tuple[object, ...]]:
        return {(i.ids, i.package, i.severity, i.fixed) for i in join(of, [])}

    assert told(found) == told(shuffled)


@pytest.mark.parametrize(
    ("trivy", "go", "words"),
    [
        ([TRIVY], [GO], ""),
        ([TRIVY], [], "trivy alone has it, govulncheck does not"),
        ([], [GO], "govulncheck alone has it, trivy does not"),
        ([TRIVY], [replace(GO, fixed="v1.11.9")], "govulncheck says 1.11.9, trivy says 1.11.1"),
        ([replace(TRIVY, fixed=None)], [GO], "govulncheck says 1.11.1, trivy says no fix yet"),
        ([replace(TRIVY, fixed="1.10.9, 1.11.1")], [GO], ""),
        (
            [TRIVY],
            [replace(GO, symbol_reached=False)],
            "trivy goes by the version, govulncheck by the functions",
        ),
        # Nothing but Trivy looks at Debian's packages.
        ([replace(SSL, kind="os-pkgs")], [], ""),
    ],
)
def test_where_scanners_disagree_both_are_shown_and_what_counts(
    trivy: list[TrivyFinding], go: list[GoFinding], words: str
) -> None:
    (judged,) = judge(trivy, go, [], today=TODAY).refused
    assert judged.issue.disagreement.startswith(words)
    assert bool(judged.issue.disagreement) == bool(words)
    assert words in str(judged)
