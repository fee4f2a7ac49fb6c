"""Scan: known weaknesses of both kinds, planted for what the released images really hold."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from sealift.errors import OutsideError
from sealift.line import Line
from sealift.model.evidence import Built, Scanned
from sealift.model.exceptions import Exception_
from sealift.model.plan import Cell
from sealift.model.run import RunFolder
from sealift.model.world import World
from sealift.rehearsal import advisories
from sealift.rehearsal.advisories import (
    Advisories,
    DebianAdvisory,
    GoAdvisory,
    GoModule,
    GoPackage,
    Range,
    Suite,
)
from sealift.rehearsal.oci_writer import LayerTar
from sealift.rehearsal.world import Stage
from sealift.stations.gate import GateRefusedError
from sealift.stations.scan import scan
from tests.attacks.catalogue import Attack, Kind, attacks, each, refusals
from tests.attacks.conftest import Forge
from tests.attacks.forging import AMD64, ARM64, Change

pytestmark = pytest.mark.programs

Planted = Callable[..., World]
Known = tuple[GoAdvisory | DebianAdvisory, ...]
Look = Callable[..., Scanned]
SOURCES = ("https://example.test",)
CLIENT = "github.com/prometheus/client_golang"
STATIC = Cell("static", AMD64)
CELLS = [Cell(variant, platform) for variant in ("static", "base") for platform in (AMD64, ARM64)]

DEBIAN = DebianAdvisory(
    cve="CVE-2099-0001",
    package="tzdata",
    severity="HIGH",
    summary="made up: every clock is wrong",
    sources=SOURCES,
    suites=(Suite(suite="debian12", fixed="9999a-1"),),
)
GO = GoAdvisory(
    id="GO-2099-0002",
    cves=("CVE-2099-0002",),
    severity="CRITICAL",
    summary="made up: numbers that nobody counted",
    sources=SOURCES,
    affected=(
        GoModule(
            module=CLIENT,
            ranges=(Range(fixed="99.0.0"),),
            packages=(GoPackage(path=f"{CLIENT}/prometheus/promhttp"),),
        ),
    ),
)
UNFIXED = msgspec.structs.replace(
    DEBIAN, cve="CVE-2099-0003", severity="CRITICAL", suites=(Suite(suite="debian12", status="affected"),)
)
MEDIUM = msgspec.structs.replace(DEBIAN, cve="CVE-2099-0004", severity="MEDIUM")


@pytest.fixture(scope="session")
def known(stage: Stage) -> Advisories:
    """Read the advisories of the rehearsal: the release is clean by them."""
    return advisories.load(stage.ci / "advisories.yaml")


@pytest.fixture
def planted(world: World, known: Advisories, tmp_path: Path) -> Planted:
    """Give a world in which more is known, to Trivy, to govulncheck, or to both."""

    def plant(
        *more: GoAdvisory | DebianAdvisory, trivy: bool = True, go: bool = True, checked: date = known.checked
    ) -> World:
        told = msgspec.structs.replace(known.plus(*more), checked=checked)
        advisories.write_trivy_database(told if trivy else known, tmp_path / "trivy", datetime.now(UTC))
        advisories.write_go_database(told if go else known, tmp_path / "go")
        return replace(world, advisories=tmp_path / "trivy", go_advisories=tmp_path / "go")

    return plant


@pytest.fixture
def look(line: Line, beside: RunFolder) -> Look:
    """Scan one cell of the release, or of a forgery, in a world."""

    def scan_it(
        world: World,
        cell: Cell = STATIC,
        built: Built | None = None,
        exceptions: Collection[Exception_] = (),
    ) -> Scanned:
        found = built or line.built(cell.variant)
        return scan(cell, line.plan, found, exceptions, world=world, run=beside)

    return scan_it


@each(
    Attack(
        kind=Kind.FINDINGS,
        sample="a Debian package and a Go module with known weaknesses",
        artefact=(DEBIAN, GO),
        stage="scan",
        words="CRITICAL CVE-2099-0002 (GO-2099-0002) in",
    )
)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_scan_rejects_findings_of_both_kinds(
    look: Look, planted: Planted, cell: Cell, attack: Attack[Known]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(planted(*attack.artefact), cell)
    attack.assert_blocked_by(caught.value)
    found = refusals(caught.value)
    assert len(found) == 2
    assert found[0].startswith(f"CRITICAL CVE-2099-0002 (GO-2099-0002) in {CLIENT} 1.")
    assert found[1].startswith("HIGH CVE-2099-0001 in tzdata 20")
    assert "fixed in 9999a-1" in found[1]
    assert caught.value.gates[0].subject == str(cell)


@each(
    *attacks(
        Kind.FINDINGS,
        "scan",
        {
            "a weakness that only Trivy knows": (
                lambda plant: plant(GO, go=False),
                "CRITICAL CVE-2099-0002 (GO-2099-0002)",
            ),
            "a weakness that only govulncheck knows, without a severity": (
                lambda plant: plant(GO, trivy=False),
                "UNKNOWN CVE-2099-0002 (GO-2099-0002)",
            ),
        },
    )
)
def test_scan_rejects_finding_of_one_scanner(
    look: Look, planted: Planted, attack: Attack[Callable[[Planted], World]]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(attack.artefact(planted))
    attack.assert_blocked_by(caught.value)
    assert [detail.partition(" in ")[0] for detail in refusals(caught.value)] == [attack.words]


def test_scan_notes_findings_without_fix_or_of_lower_severity(look: Look, planted: Planted) -> None:
    scanned = look(planted(UNFIXED, MEDIUM))
    assert scanned.gates[-1].detail == "2 findings noted that do not block"


def waiver(name: str, until: date, package: str | None = None) -> Exception_:
    return Exception_(
        kind="finding", id=name, owner="somebody", reason="made up as well", until=until, package=package
    )


def test_scan_accepts_and_shows_finding_with_waiver(look: Look, planted: Planted) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    exceptions = [waiver("CVE-2099-0001", tomorrow, "tzdata"), waiver("GO-2099-0002", tomorrow)]
    gates = look(planted(DEBIAN, GO), exceptions=exceptions).gates
    excused = [gate.detail for gate in gates if gate.verdict == "excused"]
    assert len(excused) == 2
    assert all(f"excused by somebody until {tomorrow}: made up as well" in detail for detail in excused)


def ended_and_misplaced() -> list[Exception_]:
    today = datetime.now(UTC).date()
    return [
        waiver("CVE-2099-0001", today - timedelta(days=1)),
        waiver("GO-2099-0002", today + timedelta(days=1), "golang.org/x/net"),
    ]


@each(
    Attack(
        kind=Kind.FINDINGS,
        sample="a waiver that has ended, and one for another package",
        artefact=ended_and_misplaced,
        stage="scan",
        words="the exception of somebody ended on ",
    )
)
def test_scan_rejects_waiver_that_does_not_hold(
    look: Look, planted: Planted, attack: Attack[Callable[[], list[Exception_]]]
) -> None:
    waivers = attack.artefact()
    with pytest.raises(GateRefusedError) as caught:
        look(planted(DEBIAN, GO), exceptions=waivers)
    attack.assert_blocked_by(caught.value)
    go, debian = refusals(caught.value)
    assert debian.endswith(f"the exception of somebody ended on {waivers[0].until}")
    assert "excused" not in go


def exchanged(built: Built) -> Built:
    """Exchange the entries of an index: each names the other's manifest."""
    swapped = dict(zip(built.platforms, reversed(built.platforms.values()), strict=True))
    return msgspec.structs.replace(built, platforms=swapped)


@each(
    Attack(
        kind=Kind.READERS,
        sample="a scan of another platform's manifest",
        artefact=exchanged,
        stage="scan",
        words="platform that was scanned: expected linux/arm64, got linux/amd64",
    )
)
def test_scan_rejects_report_of_other_platform(
    look: Look, line: Line, world: World, attack: Attack[Callable[[Built], Built]]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(world, Cell("static", ARM64), attack.artefact(line.built("static")))
    attack.assert_blocked_by(caught.value)
    other, platform = refusals(caught.value)
    assert other.startswith("binary that was scanned: expected ")
    assert platform == attack.words


@each(
    *attacks(
        Kind.FINDINGS,
        "scan",
        {
            "an image in which Trivy finds no Go program": (
                lambda i: i.with_program(LayerTar().file("health-caretaker", b"text", 0o755)),
                "Trivy saw no Go modules: it did not look",
            ),
            "an image in which Trivy finds no Debian packages": (
                lambda i: i.with_layers(i.layers[-1]),
                "Trivy saw no Debian packages: it did not look",
            ),
        },
    )
)
def test_scan_rejects_scanner_that_found_no_packages(
    look: Look, forged: Forge, attack: Attack[Change]
) -> None:
    world, built = forged("static", {AMD64: attack.artefact})
    with pytest.raises(GateRefusedError) as caught:
        look(world, built=built)
    attack.assert_blocked_by(caught.value)
    assert refusals(caught.value) == [attack.words]


@each(
    Attack(
        kind=Kind.FINDINGS,
        sample="an old advisory database",
        artefact=date(2026, 1, 1),
        stage="scan",
        words="advisories of 2026-01-01, ",
    )
)
def test_scan_rejects_old_advisories(look: Look, planted: Planted, attack: Attack[date]) -> None:
    old = replace(planted(checked=attack.artefact), advisory_max_age_days=7)
    with pytest.raises(GateRefusedError, match=r"advisories of 2026-01-01, .* days old; 7 allowed") as caught:
        look(old)
    attack.assert_blocked_by(caught.value)


@each(
    *(
        Attack(
            kind=Kind.FINDINGS,
            sample=f"an empty folder instead of the {name}",
            artefact=field,
            stage="scan",
            words="advisory database",
            exit_code=4,
        )
        for field, name in (("advisories", "Trivy database"), ("go_advisories", "Go advisory database"))
    )
)
def test_scan_does_not_pass_without_database(
    look: Look, world: World, tmp_path: Path, attack: Attack[str]
) -> None:
    with pytest.raises(OutsideError, match=r"no .*advisory database") as caught:
        look(replace(world, **{attack.artefact: tmp_path}))  # type: ignore[arg-type]
    attack.assert_blocked_by(caught.value)
