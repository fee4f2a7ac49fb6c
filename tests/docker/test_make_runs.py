"""The make targets that run the service in the foreground, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sealift.rehearsal.distroless import Suite
from tests.docker.conftest import IMAGES, SUITE, TARGETS, Docker, chosen, make_command
from tests.docker.looking import answers, eventually, inspect, two_ports, which

pytestmark = pytest.mark.programs
VARIANTS = tuple(IMAGES)


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
    moved = {} if suite is SUITE else {"STAND_INS": "1", **chosen(suite)}
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
    variant: str, latest: dict[str, str], docker: Docker, clone: Path, tmp_path: Path, watched: Path
) -> None:
    web, metrics = two_ports()
    ports = [f"--web-port={web}", f"--metrics-port={metrics}", f"--config={watched}"]
    command = [which("sealift"), "docker", "run", variant, *ports]
    ran = run_until_ctrl_c(command, web, clone, docker, tmp_path / "log")
    assert ran.container["Image"] == latest[variant]
    assert (ran.container_status, ran.status) == ("0", 0)
    assert docker("ps", "--all", "--quiet").stdout == ""
