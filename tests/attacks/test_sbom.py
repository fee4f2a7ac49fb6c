"""SBOM: lists that differ from the image, and images with programs that were not proven."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift.line import Line
from sealift.model.evidence import Built, Listed, Proven
from sealift.model.plan import Cell
from sealift.model.run import RunFolder
from sealift.model.world import World
from sealift.rehearsal.oci_writer import LayerTar
from sealift.stations.gate import GateRefusedError
from sealift.stations.sbom import FORMATS, sbom
from sealift.tools import trivy
from tests.attacks.catalogue import Attack, Kind, attacks, each, refusals
from tests.attacks.conftest import Forge
from tests.attacks.forging import AMD64, Change, Image, same
from tests.tools.scan_assets import go_program

pytestmark = pytest.mark.programs

JSON = dict[str, Any]
CELL = Cell("static", AMD64)
CLIENT = "github.com/prometheus/client_golang"
OWN = "github.com/sealift/health-caretaker"
Look = Callable[..., Listed]


@pytest.fixture
def look(line: Line, beside: RunFolder) -> Look:
    """List one cell of a world, by what was proven of the released binary."""
    proven = line.run.read("prove", str(CELL), Proven)

    def list_it(world: World, built: Built) -> Listed:
        if not (beside.root / built.layout).exists():
            shutil.copytree(line.run.root / built.layout, beside.root / built.layout)
        return sbom(CELL, line.plan, built, proven, world=world, run=beside)

    return list_it


def in_both(words: str) -> list[str]:
    return [f"SPDX: {words}", f"CycloneDX: {words}"]


def test_sbom_accepts_unchanged_image(look: Look, forged: Forge, beside: RunFolder) -> None:
    world, built = forged("static", {AMD64: same})
    listed = look(world, built)
    for path in (listed.spdx, listed.cyclonedx):
        assert world.layouts.partition("/")[0] not in (beside.root / path).read_text(encoding="utf-8")
    assert listed.digest == built.platforms[AMD64].digest
    assert {gate.verdict for gate in listed.gates} == {"pass"}


STATUS = "Package: extra\nVersion: 1:2.0-1\nArchitecture: amd64\nMaintainer: nobody\nDescription: made up\n"


# dpkg's own list and distroless' folder: Trivy reads both, an image has only one of them.
@each(
    *attacks(
        Kind.FINDINGS,
        "sbom",
        {
            "a package in dpkg's list alone": (
                lambda i: i.plus(
                    LayerTar().file("var/lib/dpkg/status", f"{STATUS}Status: install ok installed\n".encode())
                ),
                "Debian packages listed and not in the image: extra@1:2.0-1",
            ),
            "a package that Trivy takes for removed": (
                lambda i: i.plus(
                    LayerTar().file(
                        "var/lib/dpkg/status.d/extra", f"{STATUS}Status: deinstall ok config-files\n".encode()
                    )
                ),
                "Debian packages in the image and not listed: extra@1:2.0-1",
            ),
        },
    )
)
def test_sbom_rejects_package_that_only_one_reader_finds(
    look: Look, forged: Forge, attack: Attack[Change]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(*forged("static", {AMD64: attack.artefact}))
    attack.assert_blocked_by(caught.value)
    assert refusals(caught.value) == in_both(attack.words)


@each(
    Attack(
        kind=Kind.FINDINGS,
        sample="a second Go program in the image",
        artefact=lambda image, other: image.plus(LayerTar().file("opt/other", other, 0o755)),
        stage="sbom",
        words="Go modules listed and not in the image",
    )
)
def test_sbom_rejects_second_program(
    look: Look, forged: Forge, tmp_path: Path, attack: Attack[Callable[[Image, bytes], Image]]
) -> None:
    other = go_program(tmp_path, "amd64", version="v1.11.0").read_bytes()
    with pytest.raises(GateRefusedError) as caught:
        look(*forged("static", {AMD64: lambda i: attack.artefact(i, other)}))
    attack.assert_blocked_by(caught.value)
    found = refusals(caught.value)
    assert found[1::2] == in_both("another program: opt/other")
    for words in found[::2]:
        assert attack.words in words
        assert f"{CLIENT}@v1.11.0" in words
        assert "example.test/old" in words


@each(
    Attack(
        kind=Kind.FINDINGS,
        sample="another Go program than the one that was proven",
        artefact=lambda image, other: image.with_program(LayerTar().file("health-caretaker", other, 0o755)),
        stage="sbom",
        words=f"SPDX: {OWN} is missing",
    )
)
def test_sbom_rejects_program_that_was_not_proven(
    look: Look, forged: Forge, tmp_path: Path, attack: Attack[Callable[[Image, bytes], Image]]
) -> None:
    other = go_program(tmp_path, "amd64", version="v1.11.1").read_bytes()
    with pytest.raises(GateRefusedError) as caught:
        look(*forged("static", {AMD64: lambda i: attack.artefact(i, other)}))
    attack.assert_blocked_by(caught.value)
    found = refusals(caught.value)
    assert f"SPDX: {OWN} is missing" in found
    assert f"CycloneDX: {OWN} is missing" in found
    missing = [words for words in found if "Go modules in the image and not listed" in words]
    assert len(missing) == 2
    assert all("golang.org/x/sys@" in words for words in missing)


@pytest.fixture(scope="session")
def documents(line: Line) -> dict[str, bytes]:
    """List the released image once in each form; every test below spoils a copy."""
    digest, world = line.built("static").platforms[AMD64].digest, line.world
    reference = f"{world.layouts}/static@{digest}"
    return {f: trivy.sbom(reference, AMD64, format=f, cache_dir=world.advisories) for f in FORMATS}


def spoil(raw: bytes, form: str, name: str, purl: str | None) -> bytes:
    """Take a package out of a list, or give it another URL."""
    document: JSON = msgspec.json.decode(raw)
    where = "packages" if form == "spdx-json" else "components"
    entries: list[JSON] = document[where]
    assert [e["name"] for e in entries].count(name) == 1
    kept = []
    for entry in entries:
        if entry["name"] != name:
            kept.append(entry)
        elif purl is not None and form == "spdx-json":
            url = {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
            kept.append(entry | {"externalRefs": [url]})
        elif purl is not None:
            kept.append(entry | {"purl": purl})
    return msgspec.json.encode(document | {where: kept})


IN, OUT = "in the image and not listed", "listed and not in the image"
# Which package, its URL instead (or none at all), and what is found.
Spoilt = tuple[str, str | None, list[str]]


@each(
    *(
        Attack(
            kind=Kind.FINDINGS, sample=f"an SBOM {name}", artefact=spoilt, stage="sbom", words=spoilt[2][0]
        )
        for name, spoilt in {
            "without a module": (CLIENT, None, [f"Go modules {IN}: {CLIENT}@v"]),
            "without Go itself": ("stdlib", None, [f"Go modules {IN}: stdlib@v1."]),
            "without the service": (OWN, None, [f"{OWN} is missing"]),
            "without a package": ("tzdata", None, [f"Debian packages {IN}: tzdata@20"]),
            "with another version of a package": (
                "netbase",
                "pkg:deb/debian/netbase@0.1?arch=all",
                [f"Debian packages {IN}: netbase@6", f"Debian packages {OUT}: netbase@0.1"],
            ),
            "with another version of a module": (
                CLIENT,
                f"pkg:golang/{CLIENT}@v0.0.1",
                [f"Go modules {IN}: {CLIENT}@v1", f"Go modules {OUT}: {CLIENT}@v0.0.1"],
            ),
        }.items()
    )
)
@pytest.mark.parametrize("form", FORMATS)
def test_sbom_rejects_list_that_differs_from_image(
    line: Line,
    look: Look,
    documents: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    attack: Attack[Spoilt],
) -> None:
    package, purl, words = attack.artefact
    told = documents | {form: spoil(documents[form], form, package, purl)}
    monkeypatch.setattr(trivy, "sbom", lambda *_, **asked: told[asked["format"]])
    built = line.built("static")
    with pytest.raises(GateRefusedError) as caught:
        look(line.world, built)
    attack.assert_blocked_by(caught.value)
    label = {"spdx-json": "SPDX", "cyclonedx": "CycloneDX"}[form]
    found = refusals(caught.value)
    assert len(found) == len(words)
    for detail, start in zip(found, words, strict=True):
        assert detail.startswith(f"{label}: {start}")
