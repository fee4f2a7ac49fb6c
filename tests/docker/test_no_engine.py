"""The make targets where neither docker nor podman is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sealift.rehearsal.distroless import Suite
from sealift.tools.layout import Layout
from tests.docker.conftest import IMAGES, TARGETS, Make, chosen
from tests.docker.looking import which

pytestmark = pytest.mark.programs
VARIANTS = tuple(IMAGES)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with every program of this one but docker and podman."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for path in (p for f in os.environ["PATH"].split(os.pathsep) for p in Path(f).glob("*")):
        if path.name not in ("docker", "podman") and not (folder / path.name).is_symlink():
            (folder / path.name).symlink_to(path)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("variant", VARIANTS)
def test_multi_needs_no_engine_and_the_same_bytes_come_again(variant: str, make: Make, clone: Path) -> None:
    digests = set()
    for _ in range(2):
        make(f"docker-build-multi{TARGETS[variant]}", STAND_INS="1", VERSION="1.2.3")
        digests.add(Layout(clone / "build" / "docker" / variant).index())
    assert len(digests) == 1


ENGINES_WAYS = (
    "no container engine answers here",
    "apt-get install -y docker.io",
    "docs.docker.com",
    "podman",
)


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize(
    "target",
    [
        "docker-build",
        "docker-build-base",
        "docker-run",
        "docker-run-base",
        "docker-scan",
        "docker-debug",
    ],
)
def test_without_an_engine_a_target_says_how_to_get_one(target: str, make: Make) -> None:
    done = make(target, check=False)
    assert done.returncode == 2
    assert "Error 5" in done.stderr
    assert [words for words in ENGINES_WAYS if words not in done.stderr] == []
    variant = "base" if target.endswith("base") else "static"
    multi = f"docker-build-multi{TARGETS[variant]}"
    assert f"make {multi} keeps the image as an OCI layout in build/docker/{variant}" in done.stderr


@pytest.mark.usefixtures("no_engine")
def test_check_static_needs_no_engine(suite: Suite, make: Make, clone: Path) -> None:
    shutil.rmtree(clone / "build" / "docker", ignore_errors=True)
    done = make("check-static", STAND_INS="1", **chosen(suite))
    assert f"static-{suite.name}:nonroot" in done.stderr
    assert [words for words in ENGINES_WAYS if words not in done.stderr] == []
    assert "the binary is that of build/docker/static" in done.stderr
    built, *said = done.stdout.splitlines()
    assert built == f"build/docker/static {Layout(clone / 'build' / 'docker' / 'static').index()}"
    assert "statically linked" in done.stdout
    assert "not a dynamic executable" in done.stdout
    assert said[-1] == "health-caretaker.static: static"


@pytest.mark.usefixtures("no_engine")
def test_check_without_an_engine_and_without_a_layout_names_both_ways(clone: Path) -> None:
    shutil.rmtree(clone / "build" / "docker", ignore_errors=True)
    done = subprocess.run(
        [which("sealift"), "docker", "check", "base"], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    assert [words for words in ENGINES_WAYS if words not in done.stderr] == []
    assert "make docker-build-multi-base keeps the image as an OCI layout" in done.stderr
