"""The docker commands that people type, each with a real engine."""

from __future__ import annotations

import json
import os
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealift.commands import docker_build as building
from sealift.elf.facts import read_elf
from sealift.elf.rootfs import Rootfs
from sealift.process import run
from sealift.provision.cache import cache_folder
from sealift.provision.everything import Provided
from sealift.provision.recipe import this_platform
from sealift.rehearsal import advisories
from sealift.rehearsal.distroless import Suite
from sealift.tools.layout import Layout
from sealift.tools.trivy import OFFLINE
from tests.docker.conftest import (
    DOCKERFILES,
    IMAGES,
    PLATFORMS,
    ROOT,
    Docker,
    Made,
    StandIns,
    base_name,
)
from tests.docker.looking import (
    USER,
    ask,
    config_of,
    eventually,
    inspect,
    layers_of,
    read_file,
    started,
    version_line,
)

pytestmark = pytest.mark.programs
VARIANTS = tuple(IMAGES)


def test_docker_build_makes_the_image_from_a_clean_clone(made: Made, docker: Docker) -> None:
    config = config_of(docker, made.name)
    assert config["User"] == USER
    assert config["Entrypoint"] == ["/health-caretaker"]
    assert config["ExposedPorts"] == {"8080/tcp": {}, "9091/tcp": {}}
    assert config["Healthcheck"]["Test"] == ["CMD", "/health-caretaker", "-healthcheck"]
    # The base as it is, one layer with the binary, and WORKDIR and the rest without any.
    assert layers_of(docker, made.id)[:-1] == layers_of(docker, base_name(made.variant, made.suite))


def test_it_stands_on_the_suite_that_was_asked_for(made: Made, docker: Docker, tmp_path: Path) -> None:
    release = read_file(docker, made.name, "/usr/lib/os-release", tmp_path / "release")
    assert release is not None
    assert f'VERSION_ID="{made.suite.number}"'.encode() in release


def test_page_api_and_metrics_answer_and_health_turns_healthy(made: Made, docker: Docker) -> None:
    with started(docker, made.name) as (container, web, metrics):
        assert made.id == inspect(docker, container)["Image"]
        status, page = ask(web, "/")
        assert status == 200
        assert "<html" in page
        assert '"endpoints"' in ask(web, "/api/v1/status")[1]
        assert ask(web, "/api/v1/endpoints")[0] == 200
        assert ask(web, "/readyz")[0] == 200
        assert "health_caretaker_build_info" in ask(metrics, "/metrics")[1]
        uid = docker("top", container, "-o", "pid,uid,gid").stdout.split()
        assert uid[-2:] == USER.split(":")
        assert eventually(lambda: inspect(docker, container)["State"]["Health"]["Status"] == "healthy")
        docker("stop", "--time=2", container)
        assert inspect(docker, container)["State"]["ExitCode"] == 0


@pytest.mark.parametrize("words", [["-version"], ["/health-caretaker", "-version"]])
def test_version_in_both_forms(words: list[str], made: Made, docker: Docker, programs: Provided) -> None:
    said = docker("run", "--rm", made.name, *words).stdout
    assert said == f"{version_line('dev', programs)}\n"


@pytest.mark.parametrize("words", [["-version", "-json"], ["/health-caretaker", "-version", "-json"]])
def test_version_for_machines(words: list[str], made: Made, docker: Docker, programs: Provided) -> None:
    said = docker("run", "--rm", made.name, *words).stdout
    go, platform = f"go{programs.go.version}", str(this_platform())
    assert json.loads(said) == {"version": "dev", "commit": "unknown", "go": go, "platform": platform}


@pytest.mark.parametrize("shell", ["sh", "/bin/sh", "bash", "busybox"])
def test_there_is_no_shell(shell: str, made: Made, docker: Docker) -> None:
    done = docker("run", "--rm", "--entrypoint", shell, made.name, "-c", "true", check=False)
    assert done.returncode == 127
    assert "not found" in done.stderr or "no such file" in done.stderr


@pytest.mark.parametrize("variant", VARIANTS)
def test_buildx_builds_both_platforms_by_hand(
    variant: str, suite: Suite, docker: Docker, stand_ins: StandIns, clone: Path, tmp_path: Path
) -> None:
    output = tmp_path / "layout"
    version = f"by-hand-{secrets.token_hex(4)}"
    assert docker("buildx", "version").returncode == 0
    with building._own_builder(tmp_path) as (builder, env):
        run(
            [
                *("docker", "buildx", "build", "--platform", "linux/amd64,linux/arm64"),
                *("-f", DOCKERFILES[variant], "-t", f"{IMAGES[variant]}:latest", "."),
                # A machine with its own builder and gcr.io needs none of these.
                *(f"--builder={builder}", *stand_ins.contexts(variant, suite), "--provenance=false"),
                *("--build-arg", f"SUITE={suite.name}"),
                *("--build-arg", f"VERSION={version}", f"--output=type=oci,tar=false,dest={output}"),
            ],
            cwd=clone,
            env=env,
        )
    layout = Layout(output)
    manifests = layout.platforms(layout.index())
    assert sorted(manifests) == sorted(PLATFORMS)
    for platform, manifest in manifests.items():
        rootfs = Rootfs.from_layout(layout, manifest)
        assert f'VERSION_ID="{suite.number}"'.encode() in rootfs.read("/usr/lib/os-release")
        binary = tmp_path / platform.arch
        binary.write_bytes(rootfs.read("/health-caretaker"))
        binary.chmod(0o755)
        facts = read_elf(binary)
        assert facts.arch == platform.arch
        assert facts.linkage == ("static" if variant == "static" else "dynamic")
        assert facts.needed == (() if variant == "static" else ("libc.so.6",))
        # The stage was run just now: this text was in no binary before.
        assert version.encode() in binary.read_bytes()


def test_the_buildx_that_was_built_is_linked_where_docker_looks(
    programs: Provided, docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the very lines of the README, for a docker that has none of its own."""
    lines = [line[2:] for line in (ROOT / "README.md").read_text().splitlines() if "cli-plugins" in line]
    assert [line.split()[0] for line in lines] == ["mkdir", "ln"]
    # Before HOME, where it lies unless it is named.
    monkeypatch.setenv("SEALIFT_CACHE", str(cache_folder()))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("DOCKER_CONFIG")
    run(["sh", "-ec", "\n".join(lines)], env=dict(os.environ))
    linked = tmp_path / ".docker" / "cli-plugins" / "docker-buildx"
    assert linked.resolve() == programs.programs["docker-buildx"].path.resolve()
    assert "buildx" in docker("buildx", "version").stdout


def test_trivy_looks_at_an_image_of_the_engine(made: Made, tmp_path: Path) -> None:
    facts = advisories.load(ROOT / "ci" / "advisories.yaml")
    advisories.write_trivy_database(facts, tmp_path, datetime.now(UTC))
    options = ("--cache-dir", str(tmp_path), "--image-src", "docker", *OFFLINE)
    said = run(["trivy", "image", *options, made.name], env=os.environ).stdout
    assert f"{made.name} (debian {made.suite.number}" in said
    assert "gobinary" in said
