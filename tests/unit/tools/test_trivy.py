"""What Trivy's JSON says, read without Trivy."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import OutsideError
from sealift.tools import trivy

JSON = dict[str, Any]
DIGEST = "sha256:" + "d" * 64
WEAKNESS: JSON = {
    "VulnerabilityID": "CVE-2023-5363",
    "VendorIDs": ["DSA-5532-1"],
    "PkgName": "libssl3",
    "PkgIdentifier": {"PURL": "pkg:deb/debian/libssl3@3.0.11"},
    "InstalledVersion": "3.0.11",
    "FixedVersion": "3.0.12",
    "Status": "fixed",
    "Severity": "HIGH",
    "Title": "a title",
}


def report(**changed: Any) -> JSON:
    return {
        "SchemaVersion": 2,
        "Metadata": {
            "OS": {"Family": "debian", "Name": "12.12"},
            "RepoDigests": [f"localhost:1/static@{DIGEST}"],
            "ImageConfig": {"architecture": "arm64", "os": "linux", "config": {}},
        },
        "Results": [
            {
                "Target": "static (debian 12.12)",
                "Class": "os-pkgs",
                "Type": "debian",
                "Packages": [{}, {}],
                "Vulnerabilities": [WEAKNESS],
            },
            {"Target": "service", "Class": "lang-pkgs", "Type": "gobinary", "Packages": [{}]},
        ],
    } | changed


def result(*found: JSON) -> JSON:
    return {"Target": "t", "Class": "os-pkgs", "Vulnerabilities": found}


def read(document: object) -> trivy.TrivyReport:
    return trivy.read_report(json.dumps(document).encode())


def test_a_report_is_read() -> None:
    found = read(report())
    assert (found.platform, found.digest, found.system) == ("linux/arm64", DIGEST, "debian 12.12")
    assert not found.end_of_life
    assert [(t.kind, t.packages) for t in found.targets] == [("os-pkgs", 2), ("lang-pkgs", 1)]
    (weakness,) = found.findings
    assert (weakness.id, weakness.aliases) == ("CVE-2023-5363", ("DSA-5532-1",))
    assert (weakness.package, weakness.installed, weakness.fixed) == ("libssl3", "3.0.11", "3.0.12")
    assert (weakness.severity, weakness.kind, weakness.purl) == (
        "HIGH",
        "os-pkgs",
        "pkg:deb/debian/libssl3@3.0.11",
    )


def test_no_fix_is_none_and_not_an_empty_version() -> None:
    bare = {
        k: v for k, v in WEAKNESS.items() if k not in ("FixedVersion", "VendorIDs", "PkgIdentifier", "Title")
    }
    results = [{"Target": "t", "Class": "os-pkgs", "Vulnerabilities": [bare, bare | {"FixedVersion": ""}]}]
    assert [f.fixed for f in read(report(Results=results)).findings] == [None, None]


def test_an_image_in_which_nothing_was_seen_has_no_targets() -> None:
    about = {"ImageConfig": {"architecture": "amd64", "os": "linux"}}
    found = read({"Metadata": about})
    assert (found.targets, found.findings, found.digest, found.system) == ((), (), None, None)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        report(Metadata={}),
        report(Results=[{"Class": "os-pkgs"}]),
        report(
            Results=[
                {"Target": "t", "Class": "os-pkgs", "Vulnerabilities": [WEAKNESS | {"Severity": "SOME"}]}
            ]
        ),
        report(Results=[{"Target": "t", "Class": "os-pkgs", "Vulnerabilities": [{"PkgName": "x"}]}]),
    ],
)
def test_what_it_does_not_know_is_an_error_and_not_a_clean_report(document: object) -> None:
    with pytest.raises(OutsideError, match="something else than expected"):
        read(document)


def write(folder: Path, metadata: str, data: bytes = b"advisories") -> Path:
    (folder / "db").mkdir(exist_ok=True)
    (folder / "db" / "trivy.db").write_bytes(data)
    (folder / "db" / "metadata.json").write_text(metadata, encoding="utf-8")
    return folder


def test_a_database_is_its_bytes_and_its_day(tmp_path: Path) -> None:
    day = '{"Version": 2, "UpdatedAt": "2026-11-24T06:11:47.5Z"}'
    facts = trivy.database(write(tmp_path, day))
    assert (facts.version, facts.updated_at) == (2, datetime(2026, 11, 24, 6, 11, 47, 500000, UTC))
    assert trivy.database(write(tmp_path, day, b"others")).sha256 != facts.sha256


@pytest.mark.parametrize("missing", ["trivy.db", "metadata.json"])
def test_half_a_database_is_none(tmp_path: Path, missing: str) -> None:
    write(tmp_path, "{}")
    (tmp_path / "db" / missing).unlink()
    with pytest.raises(OutsideError, match="no advisory database"):
        trivy.database(tmp_path)


def test_a_database_that_says_nothing_of_itself_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="something else than expected"):
        trivy.database(write(tmp_path, "{}"))
