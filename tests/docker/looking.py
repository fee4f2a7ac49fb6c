"""What the tests ask of a started container and of an image."""

from __future__ import annotations

import json
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sealift.provision.everything import Provided
from sealift.provision.recipe import this_platform
from sealift.services.ports import free_ports
from tests.docker.conftest import Docker

USER = "65532:65532"


def version_line(version: str, programs: Provided) -> str:
    """Return what -version says of an image that was built by hand here: no commit is known in there."""
    return f"health-caretaker {version} (commit unknown, go{programs.go.version}, {this_platform()})"


def config_of(docker: Docker, image: str) -> dict[str, Any]:
    return dict(inspect(docker, image)["Config"])


def inspect(docker: Docker, name: str) -> dict[str, Any]:
    return dict(json.loads(docker("inspect", name).stdout)[0])


def layers_of(docker: Docker, image: str) -> list[str]:
    return list(inspect(docker, image)["RootFS"]["Layers"])


def ask(port: str | int, path: str) -> tuple[int, str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.status, answer.read().decode()


def eventually(true: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def answers(port: str | int, path: str = "/healthz") -> bool:
    try:
        return ask(port, path)[0] == 200
    except OSError:
        return False


def two_ports() -> tuple[int, int]:
    with free_ports(2) as held:
        web, metrics = held.release()
    return web, metrics


@contextmanager
def started(docker: Docker, image: str, *options: str) -> Iterator[tuple[str, int, int]]:
    """Start an image as the table says, on free ports of loopback: its container, and both ports."""
    web, metrics = two_ports()
    ports = ("-p", f"127.0.0.1:{web}:8080", "-p", f"127.0.0.1:{metrics}:9091")
    container = docker("run", "--detach", *ports, *options, image).stdout.strip()
    try:
        assert eventually(lambda: answers(web)), docker("logs", container).stderr
        yield container, web, metrics
    finally:
        docker("rm", "--force", container)


def read_file(docker: Docker, image: str, path: str, to: Path) -> bytes | None:
    """Take a file out of an image that is not started; None where there is none."""
    container = docker("create", image).stdout.strip()
    try:
        done = docker("cp", f"{container}:{path}", str(to), check=False)
        return to.read_bytes() if done.returncode == 0 else None
    finally:
        docker("rm", container)


def which(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    return str(beside if beside.exists() else shutil.which(name))
