"""The make targets that people know, each run for real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sealift.elf.facts import read_elf
from sealift.elf.rootfs import Rootfs
from sealift.model.names import Digest, Platform, Repository, Tag
from sealift.provision.everything import Provided
from sealift.rehearsal.distroless import Suite
from sealift.services.ports import free_ports
from sealift.services.registry import public_registry
from sealift.services.supervised import Supervised
from sealift.stations.image import SHELLS
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry
from tests.docker.conftest import (
    IMAGES,
    OTHER,
    PLATFORMS,
    SUITE,
    TARGETS,
    Docker,
    Make,
    base_name,
    image_id,
    make_command,
)
from tests.docker.looking import (
    answers,
    config_of,
    eventually,
    inspect,
    layers_of,
    read_file,
    started,
    two_ports,
    version_line,
)

pytestmark = pytest.mark.programs
VARIANTS = tuple(IMAGES)


@pytest.mark.parametrize("variant", VARIANTS)
def test_docker_build_makes_what_docker_build_makes_by_hand(
    variant: str, by_hand: dict[str, str], docker: Docker, make: Make
) -> None:
    name = f"{IMAGES[variant]}:latest"
    docker("rmi", "--force", name)
    done = make(f"docker-build{TARGETS[variant]}")
    assert done.stdout.split() == [name, by_hand[variant]]
    assert "loaded into docker" in done.stderr
    assert image_id(docker, name) == by_hand[variant]


@pytest.mark.parametrize("variant", VARIANTS)
def test_docker_build_on_the_other_suite_with_stand_ins(
    variant: str, by_hand: dict[str, str], docker: Docker, make: Make, programs: Provided, tmp_path: Path
) -> None:
    name = f"{IMAGES[variant]}:latest"
    try:
        done = make(f"docker-build{TARGETS[variant]}", SUITE=OTHER.name, VERSION="9.9.9", STAND_INS="1")
        assert "in place of golang:" in done.stderr
        assert f"in place of {base_name(variant, OTHER)}" in done.stderr
        release = read_file(docker, name, "/usr/lib/os-release", tmp_path / "release")
        assert release is not None
        assert f'VERSION_ID="{OTHER.number}"'.encode() in release
        library = read_file(docker, name, f"/var/lib/dpkg/status.d/{OTHER.base[1]}", tmp_path / "library")
        assert (library is not None) == (variant == "base")
        said = docker("run", "--rm", name, "-version").stdout
        assert said == f"{version_line('9.9.9', programs)}\n"
        assert config_of(docker, name)["Healthcheck"] == config_of(docker, by_hand[variant])["Healthcheck"]
        with started(docker, name):
            pass
    finally:
        docker("tag", by_hand[variant], name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_docker_build_multi_keeps_a_layout_and_pushes_it(
    variant: str, docker: Docker, make: Make, clone: Path, tmp_path: Path
) -> None:
    with Supervised(log=tmp_path / "supervisor.log") as services, free_ports(1) as held:
        (port,) = held.release()
        services.start([public_registry(tmp_path / "registry", port, log=tmp_path / "registry.log")])
        repository = Repository(f"localhost:{port}/team/{IMAGES[variant]}")
        done = make(
            f"docker-build-multi{TARGETS[variant]}",
            PUSH=f"{repository}:1.2.3",
            STAND_INS="1",
            VERSION="1.2.3",
        )
        layout = Layout(clone / "build" / "docker" / variant)
        digest = layout.index()
        manifests = layout.platforms(digest)
        assert sorted(manifests) == sorted(PLATFORMS)
        assert done.stdout.split() == [f"build/docker/{variant}", digest, f"{repository}:1.2.3", digest]
        assert Registry(plain_http=(repository.host,)).head(repository.tagged(Tag("1.2.3"))) == digest
        for platform, manifest in manifests.items():
            _look(layout, platform, manifest, variant, tmp_path / platform.arch)
            image = repository.at(digest)
            docker("pull", "--quiet", f"--platform={platform}", image)
            said = docker("run", "--rm", f"--platform={platform}", image, "-version").stdout
            assert said.startswith("health-caretaker 1.2.3 ")
            assert said.rstrip().endswith(f"{platform})")
            docker("rmi", "--force", image)


@pytest.mark.parametrize("variant", VARIANTS)
def test_docker_build_multi_on_the_other_suite(variant: str, make: Make, clone: Path) -> None:
    make(f"docker-build-multi{TARGETS[variant]}", SUITE=OTHER.name, STAND_INS="1")
    layout = Layout(clone / "build" / "docker" / variant)
    manifests = layout.platforms(layout.index())
    assert sorted(manifests) == sorted(PLATFORMS)
    for manifest in manifests.values():
        release = Rootfs.from_layout(layout, manifest).read("/usr/lib/os-release")
        assert f'VERSION_ID="{OTHER.number}"'.encode() in release


def _look(layout: Layout, platform: Platform, manifest: Digest, variant: str, copy: Path) -> None:
    rootfs = Rootfs.from_layout(layout, manifest)
    copy.write_bytes(rootfs.read("/health-caretaker"))
    facts = read_elf(copy)
    assert facts.arch == platform.arch
    assert facts.needed == (() if variant == "static" else ("libc.so.6",))
    assert not [e.path for e in rootfs.entries() if e.path.rsplit("/", 1)[-1] in SHELLS]


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
def test_check_static_needs_no_engine(make: Make, clone: Path) -> None:
    shutil.rmtree(clone / "build" / "docker", ignore_errors=True)
    done = make("check-static", STAND_INS="1")
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


def test_an_engine_without_the_image_says_what_makes_it(
    docker: Docker, clone: Path, by_hand: dict[str, str]
) -> None:
    docker("rmi", "--force", "health-caretaker:latest")
    try:
        done = subprocess.run(
            [which("sealift"), "docker", "run"], cwd=clone, capture_output=True, text=True, check=False
        )
    finally:
        docker("tag", by_hand["static"], "health-caretaker:latest")
    assert done.returncode == 2
    assert "docker has no health-caretaker:latest" in done.stderr
    assert "next: make docker-build" in done.stderr


@dataclass(frozen=True)
class Ran:
    """How a container in the foreground ended: what was started, what it was, and what both said."""

    status: int
    container: dict[str, Any]
    container_status: str
    said: str


def run_until_ctrl_c(command: list[str], web: int, clone: Path, docker: Docker, log: Path) -> Ran:
    """Start it, wait until it answers, press Ctrl-C, and wait until it has ended."""
    with log.open("w") as file:
        running = subprocess.Popen(command, cwd=clone, stdout=file, stderr=file, start_new_session=True)
        try:
            # It may have to be built first.
            assert eventually(lambda: answers(web) or running.poll() is not None, 900)
            assert running.poll() is None, log.read_text()
            (container,) = docker("ps", "--quiet", "--no-trunc", "--filter", f"publish={web}").stdout.split()
            found = inspect(docker, container)
            # As a terminal does it: everybody in the foreground is told at once.
            os.killpg(running.pid, signal.SIGINT)
            status = running.wait(timeout=60)
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
    # The engine counts in whole seconds, and waits for the one that it is told.
    until = f"--until={int(time.time()) + 1}"
    died = ("--since=10m", until, "--filter=event=die", f"--filter=container={container}")
    told = docker("events", *died, "--format={{.Actor.Attributes.exitCode}}").stdout.strip()
    return Ran(status, found, told, log.read_text())


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A configuration that the container's user can read."""
    config = tmp_path / "watched" / "config.json"
    config.parent.mkdir()
    config.write_text('{"endpoints": []}')
    config.parent.chmod(0o755)
    return config


@pytest.mark.parametrize("suite", [SUITE, OTHER], ids=lambda suite: suite.name)
@pytest.mark.parametrize("variant", VARIANTS)
def test_docker_run_is_hardened_and_ctrl_c_ends_it(
    variant: str,
    suite: Suite,
    by_hand: dict[str, str],
    docker: Docker,
    clone: Path,
    tmp_path: Path,
    watched: Path,
) -> None:
    web, metrics = two_ports()
    moved = {} if suite is SUITE else {"SUITE": suite.name, "STAND_INS": "1"}
    ports = f"--web-port {web} --metrics-port {metrics} --config {watched}"
    command = make_command(f"docker-run{TARGETS[variant]}", ARGS=ports, **moved)
    try:
        ran = run_until_ctrl_c(command, web, clone, docker, tmp_path / "log")
        assert (ran.container["Image"] == by_hand[variant]) == (suite is SUITE)
    finally:
        docker("tag", by_hand[variant], f"{IMAGES[variant]}:latest")
    # The service ended by itself, with nothing to complain of; make ends as whatever a terminal interrupts.
    assert (ran.container_status, ran.status) == ("0", -signal.SIGINT)
    assert docker("ps", "--all", "--quiet").stdout == ""
    assert ran.container["HostConfig"]["ReadonlyRootfs"]
    assert ran.container["HostConfig"]["CapDrop"] == ["ALL"]
    assert ran.container["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert ran.container["Config"]["User"] == "65532:65532"
    opened = ran.container["HostConfig"]["PortBindings"]
    assert {port: bound["HostPort"] for port, (bound,) in opened.items()} == {
        "8080/tcp": str(web),
        "9091/tcp": str(metrics),
    }
    assert f"http://127.0.0.1:{web}/" in ran.said
    assert "Error" not in ran.said
    assert "no configuration" not in ran.said


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_verb_alone_ends_with_the_services_own_status(
    variant: str, by_hand: dict[str, str], docker: Docker, clone: Path, tmp_path: Path, watched: Path
) -> None:
    assert by_hand
    web, metrics = two_ports()
    ports = [f"--web-port={web}", f"--metrics-port={metrics}", f"--config={watched}"]
    command = [which("sealift"), "docker", "run", variant, *ports]
    ran = run_until_ctrl_c(command, web, clone, docker, tmp_path / "log")
    assert (ran.container_status, ran.status) == ("0", 0)
    assert docker("ps", "--all", "--quiet").stdout == ""


def test_docker_scan_uses_the_built_trivy(by_hand: dict[str, str], make: Make) -> None:
    assert by_hand
    done = make("docker-scan", ARGS="--format json --list-all-pkgs", STAND_INS="1")
    assert "in place of Trivy's database: ci/advisories.yaml" in done.stderr
    for package in ('"Name": "base-files"', '"Name": "github.com/prometheus/client_golang"'):
        assert package in done.stdout


def test_docker_scan_on_the_other_suite(by_hand: dict[str, str], docker: Docker, make: Make) -> None:
    try:
        done = make("docker-scan", SUITE=OTHER.name, STAND_INS="1")
    finally:
        docker("tag", by_hand["static"], "health-caretaker:latest")
    assert f"health-caretaker_latest.tar (debian {OTHER.number}" in done.stdout
    assert "gobinary" in done.stdout


def test_docker_debug_puts_a_shell_beside_the_same_image(
    by_hand: dict[str, str], docker: Docker, make: Make, programs: Provided
) -> None:
    done = make("docker-debug")
    name = "health-caretaker:debug"
    assert done.stdout.splitlines()[-1] == f"{name} {image_id(docker, name)}"
    said = docker(
        "run", "--rm", "--entrypoint", "sh", name, "-c", "id -u; cat /etc/passwd | wc -l; ls -d /h*"
    )
    assert said.stdout.split() == ["65532", "3", "/health-caretaker", "/home"]
    below = layers_of(docker, by_hand["static"])
    assert layers_of(docker, name)[: len(below)] == below
    ours, plain = config_of(docker, name), config_of(docker, by_hand["static"])
    for field in ("User", "Entrypoint", "ExposedPorts", "Healthcheck", "WorkingDir"):
        assert ours[field] == plain[field]
    version = docker("run", "--rm", name, "-version").stdout
    assert version == f"{version_line('dev', programs)}\n"


def test_check_static_shows_file_and_ldd(by_hand: dict[str, str], make: Make, clone: Path) -> None:
    assert by_hand
    said = make("check-static").stdout
    assert "statically linked" in said
    assert "not a dynamic executable" in said
    dynamic = subprocess.run(
        [which("sealift"), "docker", "check", "base"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert "dynamically linked" in dynamic.stdout
    assert "libc.so.6" in dynamic.stdout


def test_check_static_refuses_a_binary_that_needs_a_library(
    by_hand: dict[str, str], docker: Docker, clone: Path
) -> None:
    docker("tag", by_hand["base"], "health-caretaker:latest")
    try:
        done = subprocess.run(
            [which("sealift"), "docker", "check", "static"],
            cwd=clone,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        docker("tag", by_hand["static"], "health-caretaker:latest")
    assert done.returncode == 3
    assert "is not static" in done.stderr


def which(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    return str(beside if beside.exists() else shutil.which(name))
