"""Join what two scanners found in one image, and judge it. Values in, values out.

verdict = judge(report.findings, go_findings, exceptions, severities=("HIGH", "CRITICAL"), today=today)
if verdict.refused: ...
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date

from sealift.errors import DefectError
from sealift.model.exceptions import Exception_
from sealift.tools.govulncheck import GoFinding
from sealift.tools.trivy import TrivyFinding

RANK = {"UNKNOWN": 0, "LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}


@dataclass(frozen=True, kw_only=True)
class Issue:
    """One weakness in one package, by every name it has and every scanner that saw it.

    ``symbol_reached`` is None where nobody looked: only Go binaries have symbols that are looked up.
    ``fixes`` is what each scanner names as fixed, empty where it knows of no fix.
    """

    ids: tuple[str, ...]
    package: str
    installed: str
    fixed: str | None
    severity: str
    scanners: tuple[str, ...]
    symbol_reached: bool | None
    title: str
    in_go: bool = False
    fixes: tuple[tuple[str, str], ...] = ()

    @property
    def disagreement(self) -> str:
        """Say what the scanners say differently of a Go module, and what counts then; else nothing."""
        if not self.in_go:
            return ""
        if len(self.scanners) == 1:
            other = "trivy" if self.scanners == ("govulncheck",) else "govulncheck"
            return f"{self.scanners[0]} alone has it, {other} does not: one scanner is enough"
        # Trivy names the fix of every release line, govulncheck that of the one in use.
        if not set.intersection(*(set(fixed.split(", ")) for _, fixed in self.fixes)):
            told = ", ".join(f"{name} says {fixed or 'no fix yet'}" for name, fixed in self.fixes)
            return f"{told}: a fix that one of them knows is one"
        if self.symbol_reached is False:
            return "trivy goes by the version, govulncheck by the functions: the version counts"
        return ""

    def __str__(self) -> str:
        fix = f"fixed in {self.fixed}" if self.fixed else "no fix yet"
        also = f" ({', '.join(self.ids[1:])})" if self.ids[1:] else ""
        return f"{self.severity} {self.ids[0]}{also} in {self.package} {self.installed}, {fix}{self._reach}"

    @property
    def _reach(self) -> str:
        if self.symbol_reached is None:
            return ""
        return f", {'an' if self.symbol_reached else 'no'} affected function is in the binary"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An issue, what became of it, and why."""

    issue: Issue
    why: str
    exception: Exception_ | None = None

    def __str__(self) -> str:
        differs = f"; {self.issue.disagreement}" if self.issue.disagreement else ""
        return f"{self.issue}: {self.why}{differs}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What refuses, what would but is excused, and what is only noted."""

    refused: tuple[Judged, ...]
    excused: tuple[Judged, ...]
    noted: tuple[Judged, ...]


def judge(
    trivy: Iterable[TrivyFinding],
    go: Iterable[GoFinding],
    exceptions: Collection[Exception_],
    *,
    today: date,
    severities: Collection[str] = ("HIGH", "CRITICAL"),
    require_fix: bool = True,
) -> Verdict:
    """Judge every finding; with ``require_fix`` one that nobody has fixed yet does not refuse."""
    if not severities or not set(severities) <= set(RANK):
        raise DefectError(f"severities must be some of {', '.join(RANK)}, not {sorted(severities)}")
    lowest = min(RANK[s] for s in severities)
    refused: list[Judged] = []
    excused: list[Judged] = []
    noted: list[Judged] = []
    for issue in join(trivy, go):
        why, refuses = _weigh(issue, lowest, require_fix=require_fix)
        if not refuses:
            noted.append(Judged(issue=issue, why=why))
            continue
        judged = _excuse(issue, why, exceptions, today)
        (refused if judged.exception is None else excused).append(judged)
    return Verdict(refused=tuple(refused), excused=tuple(excused), noted=tuple(noted))


def _weigh(issue: Issue, lowest: int, *, require_fix: bool) -> tuple[str, bool]:
    """Say whether an issue refuses when nothing excuses it, and why."""
    if require_fix and issue.fixed is None:
        return "no fix exists yet", False
    if issue.severity == "UNKNOWN":
        # Go's own database rates nothing: what nobody rated may be of any severity.
        return "nobody rated it, so it counts as not lower than HIGH", lowest <= RANK["CRITICAL"]
    if RANK[issue.severity] < lowest:
        return "below the severity that refuses", False
    return f"{issue.severity} and {'fixable' if issue.fixed else 'not excused'}", True


def _excuse(issue: Issue, why: str, exceptions: Iterable[Exception_], today: date) -> Judged:
    """Look for an exception that holds today; name those that no longer do."""
    about = [
        one
        for one in exceptions
        if one.kind == "finding" and one.id in issue.ids and one.package in (None, issue.package)
    ]
    holding = next((one for one in about if one.holds_on(today)), None)
    if holding is not None:
        words = f"excused by {holding.owner} until {holding.until}: {holding.reason}"
        return Judged(issue=issue, why=words, exception=holding)
    ended = "".join(f"; the exception of {one.owner} ended on {one.until}" for one in about)
    return Judged(issue=issue, why=why + ended)


def join(trivy: Iterable[TrivyFinding], go: Iterable[GoFinding]) -> tuple[Issue, ...]:
    """Put together what has a name in common and is about the same package; worst first."""
    seen = [*(_from_trivy(f) for f in trivy), *(_from_go(f) for f in go)]
    families = _families(issue.ids for issue in seen)
    groups: dict[tuple[int, str, str], list[Issue]] = {}
    for issue in seen:
        key = (families[issue.ids[0]], issue.package, issue.installed)
        groups.setdefault(key, []).append(issue)
    return tuple(sorted((_merged(group) for group in groups.values()), key=_worst_first))


def _worst_first(issue: Issue) -> tuple[int, str, tuple[str, ...]]:
    return (-RANK[issue.severity], issue.package, issue.ids)


def _families(names: Iterable[tuple[str, ...]]) -> dict[str, int]:
    """Give each name a number, the same for all names of one weakness."""
    number: dict[str, int] = {}
    for place, ids in enumerate(names):
        known = {number[name] for name in ids if name in number}
        for name in [n for n, of in number.items() if of in known] + list(ids):
            number[name] = place
    return number


def _merged(group: list[Issue]) -> Issue:
    reached = [issue.symbol_reached for issue in group if issue.symbol_reached is not None]
    return Issue(
        ids=tuple(sorted({name for issue in group for name in issue.ids}, key=_name_order)),
        package=group[0].package,
        installed=group[0].installed,
        fixed=next((issue.fixed for issue in group if issue.fixed), None),
        severity=max((issue.severity for issue in group), key=RANK.__getitem__),
        scanners=tuple(sorted({name for issue in group for name in issue.scanners})),
        symbol_reached=any(reached) if reached else None,
        title=next((issue.title for issue in group if issue.title), ""),
        in_go=any(issue.in_go for issue in group),
        fixes=tuple(sorted({fix for issue in group for fix in issue.fixes})),
    )


def _name_order(name: str) -> tuple[bool, str]:
    """Put the CVE first: it is the name that every database knows."""
    return (not name.startswith("CVE-"), name)


def _from_trivy(found: TrivyFinding) -> Issue:
    return Issue(
        ids=(found.id, *found.aliases),
        package=found.package,
        installed=_plain(found.installed),
        fixed=found.fixed,
        severity=found.severity,
        scanners=("trivy",),
        symbol_reached=None,
        title=found.title,
        in_go=found.kind == "lang-pkgs",
        fixes=(("trivy", _plain(found.fixed or "")),),
    )


def _from_go(found: GoFinding) -> Issue:
    return Issue(
        ids=(found.id, *found.aliases),
        package=found.module,
        installed=_plain(found.found),
        fixed=_plain(found.fixed) if found.fixed else None,
        severity="UNKNOWN",
        scanners=("govulncheck",),
        symbol_reached=found.symbol_reached,
        title=found.summary,
        in_go=True,
        fixes=(("govulncheck", _plain(found.fixed or "")),),
    )


def _plain(version: str) -> str:
    """Write a version without the prefix that one scanner has and the other has not."""
    bare = version.removeprefix("go").removeprefix("v")
    return bare if bare[:1].isdigit() else version
