"""The Debian suite is one parameter, and moving to another one is one command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sealift.commands.suite import GLIBC
from sealift.elf.rootfs import Rootfs
from sealift.model import config as configuration
from sealift.model import exceptions
from sealift.model.exceptions import matching
from sealift.tools import git
from sealift.tools.layout import Layout
from tests.docker.conftest import OTHER, ROOT, SUITE

pytestmark = pytest.mark.programs
SEALIFT = str(Path(sys.executable).with_name("sealift"))
FILES = ("ci/release.yaml", "Dockerfile", "Dockerfile.distroless-base")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A clean clone of what is here, changed files too."""
    target = tmp_path / "sealift"
    changed = git.changed(ROOT)
    git.clone(ROOT, git.head(ROOT), target, overlay=changed)
    return target


def sealift(tree: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([SEALIFT, *words], cwd=tree, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def test_by_hand_is_built_on_the_suite_of_the_release() -> None:
    for dockerfile in FILES[1:]:
        assert f"\nARG SUITE={SUITE.name}\n" in (ROOT / dockerfile).read_text()


def test_moving_over_is_one_command_and_so_is_moving_back(tree: Path) -> None:
    before = {name: (tree / name).read_text() for name in FILES}
    assert sealift(tree, "suite").stdout == f"{SUITE.name}\n"
    moved = sealift(tree, "suite", OTHER.name)
    assert sorted(moved.stdout.splitlines()) == sorted(f"{name}: {OTHER.name}" for name in FILES)
    excused = matching(exceptions.load(tree / "ci" / "exceptions.yaml"), kind="base", id=SUITE.name)
    assert (f"the exception for {SUITE.name}" in moved.stderr) == bool(excused)
    config = configuration.load(tree / "ci" / "release.yaml")
    assert config.suite == OTHER.name
    assert config.variants["base"].glibc == GLIBC[OTHER.name]
    for name in FILES:
        lines = zip(before[name].splitlines(), (tree / name).read_text().splitlines(), strict=True)
        changed = [(old, new) for old, new in lines if old != new]
        assert len(changed) == (2 if name.endswith("yaml") else 1)
        assert all(old.count("#") == new.count("#") for old, new in changed)
    sealift(tree, "suite", SUITE.name)
    assert {name: (tree / name).read_text() for name in FILES} == before


def test_a_suite_that_is_not_known_is_refused_and_changes_nothing(tree: Path) -> None:
    before = (tree / FILES[0]).read_text()
    done = sealift(tree, "suite", "debian99", check=False)
    assert done.returncode == 2
    assert "choose one of debian12, debian13" in done.stderr
    assert (tree / FILES[0]).read_text() == before


def test_the_line_builds_both_images_on_the_other_suite(tree: Path) -> None:
    sealift(tree, "suite", OTHER.name)
    git.git(tree, "add", "--all")
    git.git(
        tree, "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "-m", "suite"
    )
    for station in ("base", "compile", "prove", "image"):
        sealift(tree, station)
    run = tree / "build" / "release" / "latest"
    for evidence in (run / "evidence" / "base").rglob("*.json"):
        details = [
            g["detail"] for g in json.loads(evidence.read_text())["gates"] if g["verdict"] != "refused"
        ]
        assert any(detail.startswith(OTHER.name) for detail in details)
    for variant, packages in (("static", OTHER.static), ("base", OTHER.base)):
        layout = Layout(run / "images" / variant)
        manifests = layout.platforms(layout.index())
        assert len(manifests) == 2
        for manifest in manifests.values():
            rootfs = Rootfs.from_layout(layout, manifest)
            assert f'VERSION_ID="{OTHER.number}"'.encode() in rootfs.read("/usr/lib/os-release")
            for package in packages:
                assert rootfs.resolve(f"/var/lib/dpkg/status.d/{package}") is not None
