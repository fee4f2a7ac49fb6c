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
from tests.attacks.conftest import Forge
from tests.attacks.forging import AMD64, ARM64, Change

pytestmark = pytest.mark.programs

Planted = Callable[..., World]
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


def refusals(caught: pytest.ExceptionInfo[GateRefusedError]) -> list[str]:
    return [gate.detail for gate in caught.value.gates if gate.verdict == "refused"]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_both_kinds_refuse_on_each_platform(look: Look, planted: Planted, cell: Cell) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(planted(DEBIAN, GO), cell)
    found = refusals(caught)
    assert len(found) == 2
    assert found[0].startswith(f"CRITICAL CVE-2099-0002 (GO-2099-0002) in {CLIENT} 1.")
    assert found[1].startswith("HIGH CVE-2099-0001 in tzdata 20")
    assert "fixed in 9999a-1" in found[1]
    assert caught.value.gates[0].subject == str(cell)


def test_what_only_trivy_knows_refuses(look: Look, planted: Planted) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(planted(GO, go=False))
    assert [detail.partition(" in ")[0] for detail in refusals(caught)] == [
        "CRITICAL CVE-2099-0002 (GO-2099-0002)"
    ]


def test_what_only_govulncheck_knows_refuses_though_nobody_rated_it(look: Look, planted: Planted) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(planted(GO, trivy=False))
    assert [detail.partition(" in ")[0] for detail in refusals(caught)] == [
        "UNKNOWN CVE-2099-0002 (GO-2099-0002)"
    ]


def test_what_nobody_fixed_and_what_is_lower_is_noted_only(look: Look, planted: Planted) -> None:
    scanned = look(planted(UNFIXED, MEDIUM))
    assert scanned.gates[-1].detail == "2 findings noted that do not block"


def excuse(name: str, until: date, package: str | None = None) -> Exception_:
    return Exception_(
        kind="finding", id=name, owner="somebody", reason="made up as well", until=until, package=package
    )


def test_an_exception_that_holds_excuses_and_is_shown(look: Look, planted: Planted) -> None:
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    exceptions = [excuse("CVE-2099-0001", tomorrow, "tzdata"), excuse("GO-2099-0002", tomorrow)]
    gates = look(planted(DEBIAN, GO), exceptions=exceptions).gates
    excused = [gate.detail for gate in gates if gate.verdict == "excused"]
    assert len(excused) == 2
    assert all(f"excused by somebody until {tomorrow}: made up as well" in detail for detail in excused)


def test_an_exception_that_ended_or_is_about_another_package_excuses_nothing(
    look: Look, planted: Planted
) -> None:
    today = datetime.now(UTC).date()
    exceptions = [
        excuse("CVE-2099-0001", today - timedelta(days=1)),
        excuse("GO-2099-0002", today + timedelta(days=1), "golang.org/x/net"),
    ]
    with pytest.raises(GateRefusedError) as caught:
        look(planted(DEBIAN, GO), exceptions=exceptions)
    go, debian = refusals(caught)
    assert debian.endswith(f"the exception of somebody ended on {today - timedelta(days=1)}")
    assert "excused" not in go


def test_the_report_of_another_platform_is_refused(look: Look, line: Line, world: World) -> None:
    """An index whose entries were exchanged: each names the other's manifest."""
    built = line.built("static")
    swapped = dict(zip(built.platforms, reversed(built.platforms.values()), strict=True))
    with pytest.raises(GateRefusedError) as caught:
        look(
            world,
            Cell("static", ARM64),
            msgspec.structs.replace(built, platforms=swapped),
        )
    assert refusals(caught) == ["platform that was scanned: expected linux/arm64, got linux/amd64"]


BLIND: dict[str, tuple[Change, str]] = {
    "no Go program": (
        lambda i: i.with_program(LayerTar().file("health-caretaker", b"text", 0o755)),
        "Trivy saw no Go modules: it did not look",
    ),
    "no packages": (
        lambda i: i.with_layers(i.layers[-1]),
        "Trivy saw no Debian packages: it did not look",
    ),
}


@pytest.mark.parametrize("name", BLIND)
def test_a_scanner_that_saw_nothing_is_not_a_clean_answer(look: Look, forged: Forge, name: str) -> None:
    change, words = BLIND[name]
    world, built = forged("static", {AMD64: change})
    with pytest.raises(GateRefusedError) as caught:
        look(world, built=built)
    assert refusals(caught) == [words]


def test_old_advisories_are_refused(look: Look, planted: Planted) -> None:
    old = replace(planted(checked=date(2026, 1, 1)), advisory_max_age_days=7)
    with pytest.raises(GateRefusedError, match=r"advisories of 2026-01-01, .* days old; 7 allowed"):
        look(old)


@pytest.mark.parametrize("missing", ["advisories", "go_advisories"])
def test_no_database_is_not_a_clean_answer(look: Look, world: World, tmp_path: Path, missing: str) -> None:
    with pytest.raises(OutsideError, match=r"no .*advisory database"):
        look(replace(world, **{missing: tmp_path}))  # type: ignore[arg-type]
