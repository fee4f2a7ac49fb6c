"""What ``sealift explain`` says of a binary on an image of the engine, and what starting it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sealift.provision.recipe import this_platform
from tests.docker.conftest import IMAGES, Docker
from tests.docker.looking import read_file, which

pytestmark = pytest.mark.programs


def explain(binary: Path, image: str) -> subprocess.CompletedProcess[str]:
    words = [which("sealift"), "explain", str(binary), "--base", image]
    return subprocess.run(words, cwd=binary.parent, capture_output=True, text=True, check=False)


def start(docker: Docker, binary: Path, image: str) -> subprocess.CompletedProcess[str]:
    """Start the image with another binary in place of its own."""
    return docker("run", "--rm", f"--volume={binary}:/health-caretaker:ro", image, "-version", check=False)


@pytest.fixture
def dynamic(latest: dict[str, str], docker: Docker, tmp_path: Path) -> Path:
    """The base variant's binary, on each suite."""
    assert read_file(docker, latest["base"], "/health-caretaker", tmp_path / "health-caretaker")
    return tmp_path / "health-caretaker"


def test_a_dynamic_binary_does_not_start_on_static_for_the_reason_that_is_said(
    dynamic: Path, docker: Docker
) -> None:
    image = f"{IMAGES['static']}:latest"
    told, done = explain(dynamic, image), start(docker, dynamic, image)
    assert told.returncode == 3, told.stderr
    assert f"On {image} ({this_platform()}) it would not start:" in told.stdout
    assert "no such file or directory" in told.stdout
    assert "CGO_ENABLED=0" in told.stdout
    assert done.returncode != 0
    assert "no such file or directory" in done.stdout + done.stderr


def test_it_starts_on_base_as_is_said(dynamic: Path, docker: Docker) -> None:
    image = f"{IMAGES['base']}:latest"
    told = explain(dynamic, image)
    assert (told.returncode, told.stderr) == (0, "")
    assert f"On {image} ({this_platform()}) it would start." in told.stdout
    assert start(docker, dynamic, image).returncode == 0


def test_a_foreign_binary_gives_the_error_that_is_said(dynamic: Path, docker: Docker) -> None:
    """The machine field of the ELF header is what the kernel looks at; no kernel runs an S/390's."""
    data = bytearray(dynamic.read_bytes())
    data[0x12:0x14] = (22).to_bytes(2, "little")
    dynamic.write_bytes(data)
    image = f"{IMAGES['base']}:latest"
    told, done = explain(dynamic, image), start(docker, dynamic, image)
    assert told.returncode == 3, told.stderr
    assert "exec format error" in told.stdout
    assert done.returncode != 0
    assert "exec format error" in done.stdout + done.stderr


def test_an_image_that_the_engine_has_not_is_said_so(docker: Docker) -> None:
    assert docker("version").returncode == 0
    told = explain(Path(sys.executable), "nothing-of-this-name:latest")
    assert told.returncode == 2
    assert "nor an image that an engine has here" in told.stderr
