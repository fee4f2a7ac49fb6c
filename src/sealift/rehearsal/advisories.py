"""The rehearsal's advisories: a few real ones, in the two forms that the scanners read.

    advisories = load(Path("ci/advisories.yaml"))
    write_trivy_database(advisories, cache_dir, now=datetime.now(UTC))
    write_go_database(advisories, folder)

They stand in for Trivy's and Go's own databases where those cannot be reached, and are named as a
stand-in: a clean scan against them shows that the gates work, not that an image has no known weakness.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from sealift.model.codec import publish
from sealift.model.yamlfile import load_yaml
from sealift.rehearsal import bbolt

Severity = Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]
Words = Annotated[str, msgspec.Meta(min_length=3)]
GoId = Annotated[str, msgspec.Meta(pattern=r"^GO-\d{4}-\d{4,}$")]
CveId = Annotated[str, msgspec.Meta(pattern=r"^CVE-\d{4}-\d{4,}$")]
GhsaId = Annotated[str, msgspec.Meta(pattern=r"^GHSA(-[a-z0-9]{4}){3}$")]
DsaId = Annotated[str, msgspec.Meta(pattern=r"^DSA-\d+-\d+$")]
Sources = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]

SCHEMA = 2
# Trivy's own numbers, https://github.com/aquasecurity/trivy-db/blob/main/pkg/types/types.go
SEVERITY_NUMBER: dict[Severity, int] = {"LOW": 1, "MEDIUM": 2, "HIGH": 3, "CRITICAL": 4}
STATUS_NUMBER = {"affected": 2, "will_not_fix": 5, "fix_deferred": 6, "end_of_life": 7}

GO_TEAM = "go::The Go Vulnerability Database"
GITHUB = "go::GitHub Security Advisory Go"
SUITE_BUCKET = {"debian12": "debian 12", "debian13": "debian 13"}


class _Fact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that refuses what it does not know."""


class Range(_Fact, frozen=True, kw_only=True):
    """Versions from ``introduced`` on, up to and without ``fixed``."""

    introduced: str = "0"
    fixed: str | None = None


class GoPackage(_Fact, frozen=True, kw_only=True):
    """A package and the functions in it that are affected; none named means all of it."""

    path: str
    symbols: tuple[str, ...] = ()


class GoModule(_Fact, frozen=True, kw_only=True):
    """What is affected of one module; the standard library is the module ``stdlib``."""

    module: str
    ranges: Annotated[tuple[Range, ...], msgspec.Meta(min_length=1)]
    packages: Annotated[tuple[GoPackage, ...], msgspec.Meta(min_length=1)]


class GoAdvisory(_Fact, frozen=True, kw_only=True):
    """One entry of the Go vulnerability database."""

    id: GoId
    cves: Annotated[tuple[CveId, ...], msgspec.Meta(min_length=1)]
    severity: Severity
    summary: Words
    sources: Sources
    affected: Annotated[tuple[GoModule, ...], msgspec.Meta(min_length=1)]
    ghsa: GhsaId | None = None

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every other name it has."""
        return (*self.cves, self.ghsa) if self.ghsa else self.cves


class Suite(_Fact, frozen=True, kw_only=True):
    """What one Debian suite did: the version that fixed it, or why there is none."""

    suite: Literal["debian12", "debian13"]
    fixed: str | None = None
    status: Literal["affected", "will_not_fix", "fix_deferred", "end_of_life"] | None = None

    def __post_init__(self) -> None:
        if (self.fixed is None) == (self.status is None):
            raise ValueError("a suite has either a fixed version or a status")


class DebianAdvisory(_Fact, frozen=True, kw_only=True):
    """One weakness of one Debian source package."""

    cve: CveId
    package: str
    severity: Severity
    summary: Words
    sources: Sources
    suites: Annotated[tuple[Suite, ...], msgspec.Meta(min_length=1)]
    dsa: DsaId | None = None


class Advisories(_Fact, frozen=True, kw_only=True):
    """Everything ``ci/advisories.yaml`` says, and the day on which it was last compared with its sources."""

    checked: date
    go: tuple[GoAdvisory, ...] = ()
    debian: tuple[DebianAdvisory, ...] = ()

    def __post_init__(self) -> None:
        seen = [a.id for a in self.go] + [f"{a.cve} of {a.package}" for a in self.debian]
        twice = sorted({name for name in seen if seen.count(name) > 1})
        if twice:
            # One would silently take the other's place in the database.
            raise ValueError(f"named twice: {', '.join(twice)}")

    def plus(self, *more: GoAdvisory | DebianAdvisory) -> Advisories:
        """Return these and more."""
        return msgspec.structs.replace(
            self,
            go=self.go + tuple(a for a in more if isinstance(a, GoAdvisory)),
            debian=self.debian + tuple(a for a in more if isinstance(a, DebianAdvisory)),
        )


def load(path: Path) -> Advisories:
    """Read the file; raise UsageError with the line of what cannot be used."""
    return load_yaml(path, Advisories)


def write_trivy_database(advisories: Advisories, cache_dir: Path, now: datetime) -> None:
    """Write ``<cache_dir>/db`` as Trivy would have downloaded it at that time."""
    checked = datetime.combine(advisories.checked, time(), tzinfo=UTC)
    metadata = {
        "Version": SCHEMA,
        "UpdatedAt": _rfc3339(checked),
        "NextUpdate": _rfc3339(checked + timedelta(days=1)),
        # Trivy downloads again when this is missing, whatever else it is told.
        "DownloadedAt": _rfc3339(now),
    }
    publish(cache_dir / "db" / "trivy.db", bbolt.encode(_buckets(advisories)))
    publish(cache_dir / "db" / "metadata.json", _json(metadata))


def _buckets(advisories: Advisories) -> dict[str, Any]:
    """Return Trivy's buckets: who says so, what is affected, and what is known of each weakness."""
    root: dict[str, Any] = {"data-source": _data_sources(), "vulnerability": {}}
    for place, name, cve, value in (*_go_rows(advisories), *_debian_rows(advisories)):
        root.setdefault(place, {}).setdefault(name, {})[cve] = _json(value)
    for cve, severity, summary, sources in _details(advisories):
        root["vulnerability"][cve] = _json(
            {
                "Title": summary,
                "Description": summary,
                "Severity": severity,
                "VendorSeverity": {"nvd": SEVERITY_NUMBER[severity]},
                "References": sources,
            }
        )
    return root


def _data_sources() -> dict[str, bytes]:
    debian = {
        "ID": "debian",
        "Name": "Debian Security Tracker",
        "URL": "https://salsa.debian.org/security-tracker-team/security-tracker",
    }
    return {
        GO_TEAM: _json(
            {"ID": "govulndb", "Name": "The Go Vulnerability Database", "URL": "https://pkg.go.dev/vuln/"}
        ),
        GITHUB: _json(
            {
                "ID": "ghsa",
                "Name": "GitHub Security Advisory Go",
                "URL": "https://github.com/advisories?query=type%3Areviewed+ecosystem%3Ago",
            }
        ),
        **{bucket: _json(debian) for bucket in SUITE_BUCKET.values()},
    }


Row = tuple[str, str, str, dict[str, Any]]


def _go_rows(advisories: Advisories) -> Iterator[Row]:
    for advisory in advisories.go:
        cve, *others = advisory.aliases
        for affected in advisory.affected:
            # Trivy's database takes the Go team's word for Go itself and GitHub's for everything else.
            ours = affected.module == "stdlib" or affected.module.startswith("golang.org/x/")
            value = {
                "VulnerableVersions": [_constraint(r) for r in affected.ranges],
                "PatchedVersions": [r.fixed for r in affected.ranges if r.fixed],
                "VendorIDs": [advisory.id, *others],
            }
            yield GO_TEAM if ours else GITHUB, affected.module, cve, value


def _constraint(span: Range) -> str:
    return f">={span.introduced}" + (f", <{span.fixed}" if span.fixed else "")


def _debian_rows(advisories: Advisories) -> Iterator[Row]:
    for advisory in advisories.debian:
        for suite in advisory.suites:
            value: dict[str, Any] = {"VendorIDs": [advisory.dsa]} if advisory.dsa else {}
            if suite.fixed is not None:
                value["FixedVersion"] = suite.fixed
            elif suite.status is not None:
                value["Status"] = STATUS_NUMBER[suite.status]
            yield SUITE_BUCKET[suite.suite], advisory.package, advisory.cve, value


def _details(advisories: Advisories) -> Iterator[tuple[str, Severity, str, tuple[str, ...]]]:
    for go in advisories.go:
        yield go.cves[0], go.severity, go.summary, go.sources
    for debian in advisories.debian:
        yield debian.cve, debian.severity, debian.summary, debian.sources


def write_go_database(advisories: Advisories, folder: Path) -> None:
    """Write the folder that ``govulncheck -db file://...`` reads, https://go.dev/doc/security/vuln/database."""
    modified = _rfc3339(datetime.combine(advisories.checked, time(), tzinfo=UTC))
    for stale in ("ID", "index"):
        shutil.rmtree(folder / stale, ignore_errors=True)
    modules: dict[str, list[dict[str, str]]] = {}
    vulns = []
    for advisory in sorted(advisories.go, key=lambda a: a.id):
        publish(folder / "ID" / f"{advisory.id}.json", _json(_osv(advisory, modified)))
        vulns.append({"id": advisory.id, "modified": modified, "aliases": list(advisory.aliases)})
        for affected in advisory.affected:
            entry = {"id": advisory.id, "modified": modified}
            if (fixed := affected.ranges[-1].fixed) is not None:
                entry["fixed"] = fixed
            modules.setdefault(affected.module, []).append(entry)
    publish(folder / "index" / "db.json", _json({"modified": modified}))
    publish(folder / "index" / "vulns.json", _json(vulns))
    publish(
        folder / "index" / "modules.json",
        _json([{"path": path, "vulns": modules[path]} for path in sorted(modules)]),
    )


def _osv(advisory: GoAdvisory, modified: str) -> dict[str, Any]:
    return {
        "schema_version": "1.3.1",
        "id": advisory.id,
        "published": modified,
        "modified": modified,
        "aliases": list(advisory.aliases),
        "summary": advisory.summary,
        "details": advisory.summary,
        "affected": [_osv_affected(module) for module in advisory.affected],
        "references": [{"type": "WEB", "url": url} for url in advisory.sources],
        "database_specific": {"url": f"https://pkg.go.dev/vuln/{advisory.id}"},
    }


def _osv_affected(affected: GoModule) -> dict[str, Any]:
    events: list[dict[str, str]] = []
    for span in affected.ranges:
        events.append({"introduced": span.introduced})
        if span.fixed is not None:
            events.append({"fixed": span.fixed})
    return {
        "package": {"name": affected.module, "ecosystem": "Go"},
        "ranges": [{"type": "SEMVER", "events": events}],
        "ecosystem_specific": {
            "imports": [
                {"path": p.path, **({"symbols": p.symbols} if p.symbols else {})} for p in affected.packages
            ]
        },
    }


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
