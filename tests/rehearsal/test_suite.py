"""A whole release on Debian 13's bases, after one command; and one command back."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from sealift.elf.rootfs import Rootfs
from sealift.model import config as configuration
from sealift.provision.everything import Provided
from sealift.rehearsal.distroless import suite_of
from sealift.tools.layout import Layout
from tests.conftest import ROOT
from tests.rehearsal.playing import Desk, Played
from tests.rehearsal.test_stranger import ON_PLATFORM, cosign

pytestmark = pytest.mark.programs
SUITE = suite_of("debian13")
USUAL = configuration.load(ROOT / "ci" / "release.yaml").suite


@pytest.fixture(scope="module")
def moved(provided: Provided, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """A clone that was moved over by the one command, its release rehearsed, its services up."""
    assert provided.programs
    desk = Desk.set_up(tmp_path_factory.mktemp("suite") / "clone")
    changed = desk.sealift("suite", SUITE.name)
    assert changed.status == 0, changed.stderr
    desk.git("commit", "--quiet", "--all", "--allow-empty", "-m", "Another suite")
    try:
        said = desk.sealift("release", "--keep")
        assert said.status == 0, said.stderr
        yield Played(desk, said)
    finally:
        desk.sealift("rehearse", "stop")


def base_of(moved: Played, variant: str) -> str:
    """Name the base that a variant's image was built on, as the stand-ins are named, with its digest."""
    evidence = json.loads((moved.desk.latest / "evidence" / "image" / f"{variant}.json").read_text())
    name = f"gcr.io/distroless/{variant}-{SUITE.name}:nonroot"
    return f"{name}: an equal, assembled from Debian's signed packages, {evidence['base_digest']}"


def test_every_gate_passes_and_nothing_is_excused(moved: Played) -> None:
    report = moved.report
    assert (report["outcome"], report["exceptions"]) == ("rehearsed", [])
    assert {gate["verdict"] for gate in report["gates"]} == {"pass"}
    looked = [g["subject"] for g in report["gates"] if g["detail"] == f"{SUITE.name} is supported"]
    assert sorted(looked) == ["base", "static"]
    for text in (
        moved.said.stdout,
        *((moved.desk.latest / n).read_text() for n in ("report.json", "summary.md")),
    ):
        assert SUITE.name in text
        assert "debian12" not in text


def test_the_images_stand_on_the_bases_that_the_report_names(moved: Played) -> None:
    packages = {"static": SUITE.static, "base": SUITE.base}
    for variant, image in moved.report["images"].items():
        assert base_of(moved, variant) in moved.report["stand_ins"]
        layout = Layout(moved.desk.latest / "images" / variant)
        assert layout.index() == image["digest"]
        manifests = layout.platforms(layout.index())
        assert {str(platform) for platform in manifests} == {"linux/amd64", "linux/arm64"}
        for manifest in manifests.values():
            rootfs = Rootfs.from_layout(layout, manifest)
            assert f'VERSION_ID="{SUITE.number}"'.encode() in rootfs.read("/usr/lib/os-release")
            for package in packages[variant]:
                assert rootfs.resolve(f"/var/lib/dpkg/status.d/{package}") is not None


def test_a_stranger_accepts_every_image_and_all_that_is_said_of_it(moved: Played) -> None:
    indexes, platforms = moved.indexes(), moved.platforms()
    for reference in (*indexes, *platforms, *moved.tagged()):
        done = cosign(moved, "verify", reference)
        assert done.returncode == 0, done.stderr
    wanted = [(r, "slsaprovenance1") for r in (*indexes, *moved.tagged())]
    for reference, kind in [*wanted, *((r, kind) for r in platforms for kind in ON_PLATFORM)]:
        done = cosign(moved, "verify-attestation", reference, kind=kind)
        assert done.returncode == 0, f"{reference} {kind}: {done.stderr}"


def test_the_provenance_names_the_base_by_its_digest(moved: Played) -> None:
    for variant, reference in zip(moved.report["images"], moved.indexes(), strict=True):
        done = cosign(moved, "verify-attestation", reference, kind="slsaprovenance1")
        statement = json.loads(base64.b64decode(json.loads(done.stdout)["payload"]))
        named = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        (base,) = (n for n in named if n.get("uri", "").startswith("oci://gcr.io/distroless/"))
        assert base["uri"] == f"oci://gcr.io/distroless/{variant}-{SUITE.name}:nonroot"
        assert base_of(moved, variant).endswith(f" sha256:{base['digest']['sha256']}")


def test_its_status_agrees(moved: Played) -> None:
    said = moved.desk.sealift("status", "--json")
    assert said.status == 0, said.stdout + said.stderr
    told = json.loads(said.stdout)
    assert {finding["verdict"] for finding in told["findings"]} == {"agrees"}


def test_released_again_nothing_is_made_and_all_is_the_same(moved: Played) -> None:
    before = moved.report
    said = moved.desk.sealift("release", "--keep", "--json")
    assert said.status == 0, said.stderr
    after = json.loads(said.stdout)
    assert [entry for entry in after["signatures"] if entry["made"]] == []
    for name in ("images", "release_url", "exceptions"):
        assert after[name] == before[name]
    assert len(after["signatures"]) == len(before["signatures"])


def test_moving_back_is_one_command_that_leaves_no_trace(moved: Played) -> None:
    try:
        said = moved.desk.sealift("suite", USUAL)
        assert said.status == 0, said.stderr
        assert moved.desk.git("diff", "HEAD~1") == ""
    finally:
        moved.desk.git("checkout", "--quiet", ".")
