"""Each look for what is left behind sees it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from sealift.model.names import Digest
from sealift.process import ProgramFailedError, run
from sealift.provision import debian
from sealift.provision.everything import Provided
from sealift.provision.root import root_prefix
from sealift.services.ports import free_ports
from sealift.services.service import privileged
from sealift.tools import engine
from tests.kills.left import OwnDesk, own_desk
from tests.whole import half_files

pytestmark = pytest.mark.programs

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


@pytest.fixture
def desk(provided: Provided) -> Iterator[OwnDesk]:
    assert provided.programs
    with own_desk() as desk:
        assert desk.left() == []
        yield desk


def strays(desk: OwnDesk) -> list[str]:
    """Return what is the desk's: of networks and rules nothing tells whose they are, and others work here."""
    return [line for line in desk.stray() if not line.startswith(("network ", "published port: "))]


def stray(desk: OwnDesk) -> str:
    (found,) = strays(desk)
    return found


@pytest.fixture(params=["in its command line", "in its environment"])
def process(request: pytest.FixtureRequest, desk: OwnDesk) -> Iterator[int]:
    """A process that has a path of the cache in one place."""
    path = str(desk.cache / "buildkit" / "0" / "buildkitd.toml")
    told = "command" in request.param
    words, env = ([path], {}) if told else ([], {"PATH": path})
    with subprocess.Popen([*SLEEP, *words], env=env) as started:
        yield started.pid
        started.kill()


def test_a_process_that_the_cache_names_is_seen(desk: OwnDesk, process: int) -> None:
    assert stray(desk).startswith(f"process {process}: ")


def world_at(desk: OwnDesk, port: int) -> None:
    """Give the desk a world with one port."""
    world = desk.folder / "build" / "rehearsal" / "some"
    world.mkdir(parents=True)
    (world / "ports.json").write_text(json.dumps({"registry": port}))


def test_a_port_of_a_world_is_seen(desk: OwnDesk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        world_at(desk, port)
        assert stray(desk) == f"port {port}"


def test_a_builder_that_answers_is_seen_and_a_second_one(desk: OwnDesk) -> None:
    (desk.cache / "buildkit" / "0").mkdir(parents=True)
    path = desk.cache / "buildkit" / "0" / "buildkitd.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert stray(desk) == f"socket {path}"
    (second := desk.cache / "buildkit" / "1").mkdir()
    assert stray(desk) == f"a second builder: {second}"


@pytest.mark.parametrize(
    "name", ["cache/buildkit/0/lock", "desk/build/rehearsal/.world.lock", "desk/build/release/.0.1.0.lock"]
)
def test_a_lock_that_is_held_is_seen(desk: OwnDesk, name: str) -> None:
    path = desk.folder.parent / name
    path.parent.mkdir(parents=True)
    with FileLock(path):
        assert stray(desk) == f"lock {path}"
    assert strays(desk) == []


@pytest.fixture
def container(desk: OwnDesk) -> Iterator[str]:
    """One that was never started, of an image without anything in it that comes from one of our ports."""
    found = engine.find(desk.cache / "locks", store=desk.cache.resolve() / "podman")
    (port,) = free_ports(1).release()
    world_at(desk, port)
    name, image = f"sealift-{desk.folder.parent.name}", f"localhost:{port}/left:1"
    with tarfile.open(archive := desk.folder.parent / "empty.tar", "w"):
        pass
    found.call("import", os.fspath(archive), image)
    try:
        found.call("create", f"--name={name}", image, "/program")
        yield name
    finally:
        run(found.removal(name))
        run(found.image_removal(image))


def test_a_container_is_seen_that_does_not_run(desk: OwnDesk, container: str) -> None:
    assert f"container {container}" in strays(desk)
    run(engine.find(desk.cache / "locks", store=desk.cache.resolve() / "podman").removal(container))
    # What it was made of.
    assert stray(desk).startswith("image localhost:")


def test_a_mount_below_the_cache_is_seen(desk: OwnDesk) -> None:
    place = desk.cache / "podman" / "storage" / "merged"
    place.mkdir(parents=True)
    try:
        run(privileged(["mount", "-t", "tmpfs", "tmpfs", os.fspath(place)]))
    except ProgramFailedError as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    try:
        assert str(place) in stray(desk)
    finally:
        run(privileged(["umount", os.fspath(place)]))


@pytest.fixture
def root() -> None:
    if root_prefix() is None:
        pytest.skip("only root sees where processes live, and is told the rules")


def as_root(*words: str) -> None:
    run(privileged(words))


@pytest.mark.usefixtures("root")
def test_a_containers_network_without_a_container_is_seen(desk: OwnDesk) -> None:
    place = f"/run/netns/netns-{desk.folder.parent.name}"
    as_root("mkdir", "-p", "/run/netns")
    as_root("touch", place)
    try:
        as_root("unshare", "--net", "mount", "--bind", "/proc/self/ns/net", place)
        try:
            as_root("nsenter", f"--net={place}", "true")
            assert f"network {place}" in desk.stray()
        finally:
            as_root("umount", place)
    finally:
        as_root("rm", place)


@pytest.mark.usefixtures("root")
def test_a_published_port_of_a_container_that_is_gone_is_seen(desk: OwnDesk) -> None:
    iptables = debian.find("iptables")
    if iptables is None:
        pytest.skip("no engine here that publishes ports by iptables")
    container = Digest.of(desk.folder.parent.name.encode()).hex
    # As netavark writes it, but for an address that nobody uses, and leading nowhere.
    rule = ["OUTPUT", "-d", "127.0.0.99", "-p", "tcp", "--dport", "9", "-m", "comment"]
    rule += ["--comment", f"dnat name: podman id: {container}", "-j", "ACCEPT"]
    table = (os.fspath(iptables), "--wait", "-t", "nat")

    def seen() -> bool:
        return any(container in line for line in desk.stray())

    as_root(*table, "-A", *rule)
    try:
        assert seen()
        # While somebody has the container, it is published for somebody.
        with subprocess.Popen([*SLEEP, container]) as holder:
            assert not seen()
            holder.kill()
    finally:
        as_root(*table, "-D", *rule)
    assert not seen()


BLOB = b"a blob"
DIGEST = Digest.of(BLOB)


@pytest.mark.parametrize(
    ("name", "whole", "half"),
    [
        ("release/1.0.0/evidence/plan.json", b"{}", b"{"),
        (f"release/1.0.0/images/static/blobs/sha256/{DIGEST.hex}", BLOB, b"a bl"),
        (f"rehearsal/some/registry/one/blobs/sha256/{DIGEST.hex}", BLOB, b""),
        ("release/1.0.0/dist/static/program", BLOB, b"a bl"),
        ("rehearsal/some/github/assets/1/content", BLOB, b"a bl"),
    ],
)
def test_half_a_file_is_seen(tmp_path: Path, name: str, whole: bytes, half: bytes) -> None:
    told = {
        "release/1.0.0/evidence/compile/static.json": {"path": "dist/static/program", "sha256": DIGEST},
        "rehearsal/some/github/assets/1/record.json": {"digest": DIGEST},
    }
    for path in (name, *told, "release/1.0.0/dist/static/program", "rehearsal/some/github/assets/1/content"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(json.dumps(told[path]).encode() if path in told else BLOB)
    (tmp_path / name).write_bytes(whole)
    assert half_files(tmp_path) == []
    (tmp_path / name).write_bytes(half)
    assert half_files(tmp_path) == [tmp_path / name]
