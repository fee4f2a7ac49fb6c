"""The make targets that look at an image: its weaknesses, its binary, its inside with a shell beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sealift.provision.everything import Provided
from sealift.rehearsal.distroless import Suite
from tests.docker.conftest import Docker, Make, chosen, image_id
from tests.docker.looking import config_of, layers_of, version_line, which

pytestmark = pytest.mark.programs


def test_docker_scan_uses_the_built_trivy(latest: dict[str, str], suite: Suite, make: Make) -> None:
    assert latest
    done = make("docker-scan", ARGS="--format json --list-all-pkgs", STAND_INS="1", **chosen(suite))
    assert "in place of Trivy's database: ci/advisories.yaml" in done.stderr
    for said in (
        f"health-caretaker_latest.tar (debian {suite.number}",
        '"Name": "base-files"',
        '"Name": "github.com/prometheus/client_golang"',
    ):
        assert said in done.stdout


def test_docker_debug_puts_a_shell_beside_the_same_image(
    latest: dict[str, str], suite: Suite, docker: Docker, make: Make, programs: Provided
) -> None:
    done = make("docker-debug", **chosen(suite))
    name = "health-caretaker:debug"
    assert done.stdout.splitlines()[-1] == f"{name} {image_id(docker, name)}"
    said = docker(
        "run", "--rm", "--entrypoint", "sh", name, "-c", "id -u; cat /etc/passwd | wc -l; ls -d /h*"
    )
    assert said.stdout.split() == ["65532", "3", "/health-caretaker", "/home"]
    below = layers_of(docker, latest["static"])
    assert layers_of(docker, name)[: len(below)] == below
    ours, plain = config_of(docker, name), config_of(docker, latest["static"])
    for field in ("User", "Entrypoint", "ExposedPorts", "Healthcheck", "WorkingDir"):
        assert ours[field] == plain[field]
    version = docker("run", "--rm", name, "-version").stdout
    assert version == f"{version_line('dev', programs)}\n"


def test_check_static_shows_file_and_ldd(
    latest: dict[str, str], suite: Suite, make: Make, clone: Path
) -> None:
    said = make("check-static", **chosen(suite)).stdout
    assert latest["static"] in said
    assert "statically linked" in said
    assert "not a dynamic executable" in said
    dynamic = subprocess.run(
        [which("sealift"), "docker", "check", "base"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert "dynamically linked" in dynamic.stdout
    assert "libc.so.6" in dynamic.stdout


def test_check_static_refuses_a_binary_that_needs_a_library(
    latest: dict[str, str], docker: Docker, clone: Path
) -> None:
    docker("tag", latest["base"], "health-caretaker:latest")
    words = [which("sealift"), "docker", "check", "static"]
    done = subprocess.run(words, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "is not static" in done.stderr
