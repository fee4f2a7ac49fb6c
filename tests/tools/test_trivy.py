"""Trivy itself, over an image of two platforms in a registry on loopback."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.model.modules import GoModule
from sealift.model.names import Digest, Platform
from sealift.process import ProgramFailedError
from sealift.rehearsal import advisories
from sealift.services.ports import free_ports
from sealift.services.registry import layouts_registry
from sealift.services.supervised import Supervised
from sealift.stations.findings import judge
from sealift.tools import govulncheck, trivy
from tests.tools.scan_assets import CLIENT, go_program, image

pytestmark = pytest.mark.programs

OURS = Path(__file__).parents[2] / "ci" / "advisories.yaml"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AMD64, ARM64 = Platform("linux/amd64"), Platform("linux/arm64")
# Older than DSA-5532-1, and newer than every entry of ours.
OLD, CURRENT = "3.0.11-1~deb12u1", "3.0.19-1~deb12u2"
NO_FIX = advisories.DebianAdvisory(
    cve="CVE-2099-0001",
    package="openssl",
    severity="CRITICAL",
    summary="made up: nobody has fixed it",
    sources=("https://example.test",),
    suites=(advisories.Suite(suite="debian12", status="affected"),),
)

OWN = "example.test/old"
OUR_OWN = advisories.GoAdvisory(
    id="GO-2099-0002",
    cves=("CVE-2099-0002",),
    severity="HIGH",
    summary="made up: the service itself had a fault",
    sources=("https://example.test",),
    affected=(
        advisories.GoModule(
            module=OWN, ranges=(advisories.Range(fixed="1.1.0"),), packages=(advisories.GoPackage(path=OWN),)
        ),
    ),
)


@dataclass(frozen=True)
class Scene:
    """An image in a registry: an old libssl3 and Go module for amd64, current ones for arm64."""

    reference: str
    digests: dict[str, Digest]
    programs: dict[str, Path]
    cache: Path
    go_database: Path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    root = tmp_path_factory.mktemp("scene")
    programs = {
        "amd64": go_program(root / "old", "amd64"),
        "arm64": go_program(root / "new", "arm64", version="v1.11.1"),
    }
    index, digests = image(root / "layouts" / "app", programs, {"amd64": OLD, "arm64": CURRENT})
    known = advisories.load(OURS).plus(NO_FIX, OUR_OWN)
    advisories.write_trivy_database(known, root / "cache", NOW)
    advisories.write_go_database(known, root / "go")
    (port,) = free_ports(1).release()
    with Supervised(log=root / "supervisor.log") as services:
        services.start([layouts_registry(root / "layouts", port, log=root / "registry.log")])
        yield Scene(f"localhost:{port}/app@{index}", digests, programs, root / "cache", root / "go")


def test_both_kinds_come_up(scene: Scene) -> None:
    report = trivy.scan(scene.reference, AMD64, cache_dir=scene.cache)
    found = {(f.id, f.package): f for f in report.findings}
    debian = found["CVE-2023-5363", "libssl3"]
    assert (debian.installed, debian.fixed, debian.severity) == (OLD, "3.0.11-1~deb12u2", "HIGH")
    assert (debian.status, debian.kind, debian.aliases) == ("fixed", "os-pkgs", ("DSA-5532-1",))
    assert debian.purl.startswith("pkg:deb/debian/libssl3@3.0.11-1~deb12u1?arch=amd64")
    go = found["CVE-2022-21698", CLIENT]
    assert (go.installed, go.fixed, go.severity, go.kind) == ("v1.11.0", "1.11.1", "HIGH", "lang-pkgs")
    assert "GO-2022-0322" in go.aliases
    assert go.purl == f"pkg:golang/{CLIENT}@v1.11.0"
    assert found["CVE-2099-0001", "libssl3"].fixed is None
    assert found["CVE-2099-0001", "libssl3"].status == "affected"


@pytest.mark.parametrize(("version", "affected"), [("v1.0.9", True), ("v1.1.0", False)])
def test_the_service_itself_is_looked_up_by_the_version_of_its_release(
    scene: Scene, version: str, affected: bool
) -> None:
    modules = {OWN: GoModule(OWN, version)}
    report = trivy.scan(scene.reference, AMD64, cache_dir=scene.cache, modules=modules)
    found = govulncheck.scan(scene.programs["amd64"], scene.go_database, main_version=version)
    judged = judge(report.findings, found, (), today=date(2026, 11, 24))
    own = [one.issue for one in judged.refused if one.issue.package == OWN]
    assert [(issue.installed, issue.scanners) for issue in own] == [
        (version.removeprefix("v"), ("govulncheck", "trivy"))
    ] * affected
    assert f"{OWN}@{version}".encode() in report.raw
    predicate = trivy.vuln_predicate(report.raw, trivy.database(scene.cache), cache_dir=scene.cache)
    assert (b"CVE-2099-0002" in predicate) == affected


def test_each_platform_is_its_own(scene: Scene) -> None:
    """Side by side, as the line does it: one database serves several at once."""
    with ThreadPoolExecutor() as pool:
        reports = list(
            pool.map(lambda p: trivy.scan(scene.reference, p, cache_dir=scene.cache), [AMD64, ARM64] * 2)
        )
    assert [r.platform for r in reports] == [AMD64, ARM64] * 2
    assert "CVE-2023-5363" in {f.id for f in reports[0].findings}
    assert {f.id for f in reports[1].findings} == {"CVE-2099-0001"}
    for report in reports:
        assert report.system == "debian 12.12"
        assert {(t.kind, t.type) for t in report.targets} == {
            ("os-pkgs", "debian"),
            ("lang-pkgs", "gobinary"),
        }
        assert all(t.packages for t in report.targets)


def test_one_platform_by_its_own_digest(scene: Scene) -> None:
    repository = scene.reference.partition("@")[0]
    digest = scene.digests["arm64"]
    report = trivy.scan(f"{repository}@{digest}", ARM64, cache_dir=scene.cache)
    assert (report.platform, report.digest) == (ARM64, digest)


def test_a_platform_that_is_not_there_is_an_error(scene: Scene) -> None:
    with pytest.raises(ProgramFailedError):
        trivy.scan(scene.reference, Platform("linux/s390x"), cache_dir=scene.cache)


def test_joined_with_govulncheck_the_old_one_refuses_and_the_current_one_does_not(scene: Scene) -> None:
    def verdict(platform: Platform) -> tuple[set[tuple[str, bool | None]], set[str]]:
        report = trivy.scan(scene.reference, platform, cache_dir=scene.cache)
        go = govulncheck.scan(scene.programs[platform.arch], scene.go_database)
        judged = judge(report.findings, go, (), today=date(2026, 11, 24))
        refused = {(one.issue.ids[0], one.issue.symbol_reached) for one in judged.refused}
        return refused, {one.issue.ids[0] for one in judged.noted}

    refused, noted = verdict(AMD64)
    assert {("CVE-2022-21698", True), ("CVE-2023-5363", None), ("CVE-2024-6119", None)} <= refused
    assert noted == {"CVE-2099-0001"}
    assert verdict(ARM64) == (set(), {"CVE-2099-0001"})


def test_nothing_that_lies_about_changes_what_is_found(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        ".trivyignore": "CVE-2023-5363\n",
        "trivy.yaml": "severity: [LOW]\n",
        "docker/config.json": json.dumps({"credsStore": "nothing-here"}),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("TRIVY_IGNOREFILE", str(tmp_path / ".trivyignore"))
    monkeypatch.setenv("TRIVY_SEVERITY", "LOW")
    found = {f.id for f in trivy.scan(scene.reference, AMD64, cache_dir=scene.cache).findings}
    assert "CVE-2023-5363" in found


def test_software_bills_of_materials(scene: Scene) -> None:
    spdx = json.loads(trivy.sbom(scene.reference, AMD64, format="spdx-json", cache_dir=scene.cache))
    assert spdx["spdxVersion"].startswith("SPDX-2.")
    named = {(p["name"], p.get("versionInfo")) for p in spdx["packages"]}
    assert {("libssl3", OLD), (CLIENT, "v1.11.0")} <= named
    assert any(name == "stdlib" for name, _ in named)
    cyclonedx = json.loads(trivy.sbom(scene.reference, ARM64, format="cyclonedx", cache_dir=scene.cache))
    assert cyclonedx["bomFormat"] == "CycloneDX"
    named = {(c["name"], c.get("version")) for c in cyclonedx["components"]}
    assert {("libssl3", CURRENT), (CLIENT, "v1.11.1")} <= named


def test_the_predicate_holds_the_report(scene: Scene) -> None:
    report = trivy.scan(scene.reference, AMD64, cache_dir=scene.cache)
    used = trivy.database(scene.cache)
    predicate = json.loads(trivy.vuln_predicate(report.raw, used, cache_dir=scene.cache))
    assert predicate["scanner"]["db"]["version"] == used.sha256
    assert predicate["scanner"]["uri"].startswith("pkg:github/aquasecurity/trivy")
    held = {
        v["VulnerabilityID"]
        for result in predicate["scanner"]["result"]["Results"]
        for v in result.get("Vulnerabilities", [])
    }
    assert held == {f.id for f in report.findings}


def test_which_database_was_used(scene: Scene) -> None:
    facts = trivy.database(scene.cache)
    assert (facts.version, facts.updated_at) == (2, datetime(2026, 11, 24, tzinfo=UTC))
    other = scene.cache.parent / "again"
    advisories.write_trivy_database(advisories.load(OURS).plus(NO_FIX, OUR_OWN), other, NOW)
    assert trivy.database(other) == facts


def test_no_database_is_an_error_and_not_a_clean_answer(tmp_path: Path) -> None:
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - the folder is empty
    with pytest.raises(OutsideError, match="no advisory database"):
        trivy.scan("localhost:1/app", AMD64, cache_dir=tmp_path)
