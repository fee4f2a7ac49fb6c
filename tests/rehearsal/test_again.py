"""Running again is the resume; ending early leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.provision.everything import Provided
from sealift.services.ports import port_is_taken
from tests.rehearsal.playing import SEALIFT, Desk

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def desk(provided: Provided, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    assert provided.programs
    desk = Desk.set_up(tmp_path_factory.mktemp("again") / "clone")
    yield desk
    desk.sealift("rehearse", "stop")


def ports(desk: Desk) -> list[int]:
    """Return every port of the desk's worlds."""
    return [
        port
        for file in desk.folder.glob("build/rehearsal/*/**/ports.json")
        for port in json.loads(file.read_text(encoding="utf-8")).values()
    ]


def services(desk: Desk) -> list[str]:
    """Return the command lines of what still runs with a file of this desk."""
    mine = str(desk.folder)
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if mine in words:
            found.append(words)
    return found


def taken(desk: Desk) -> list[int]:
    """Return the ports of the desk's worlds on which something listens."""
    return [port for port in ports(desk) if port_is_taken(port)]


@pytest.mark.parametrize(
    ("sign", "then", "status"),
    [
        (signal.SIGINT, None, 130),
        (signal.SIGTERM, None, 130),
        (signal.SIGINT, signal.SIGINT, 130),
        (signal.SIGTERM, signal.SIGINT, 130),
        (signal.SIGINT, signal.SIGTERM, 130),
        (signal.SIGKILL, None, -signal.SIGKILL),
    ],
)
def test_one_that_is_ended_leaves_nothing_running(
    desk: Desk, sign: signal.Signals, then: signal.Signals | None, status: int
) -> None:
    """``then`` is sent again and again while it clears away."""
    with subprocess.Popen(
        [*SEALIFT, "release"], cwd=desk.folder, stderr=subprocess.PIPE, text=True
    ) as release:
        assert release.stderr is not None
        for line in release.stderr:
            # The first image is there: everything is up, and the next stations have begun.
            if line.split()[:1] == ["image"]:
                break
        os.kill(release.pid, sign)
        while then is not None and release.poll() is None:
            time.sleep(0.05)
            release.send_signal(then)
        said = release.stderr.read()
        assert release.wait(60) == status
    if then is not None:
        assert "run the same again to go on" in said
        assert "it is ending already" in said
        assert "Traceback" not in said
    deadline = time.monotonic() + 60
    # A process that ends has no command line any more before it lets go of its port.
    while (left := [*services(desk), *taken(desk)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left
    assert not list(desk.folder.glob("build/rehearsal/*/registry/health-caretaker*/index.json"))
    for path in desk.latest.rglob("*.json"):
        if "work" not in path.relative_to(desk.latest).parts:  # where the unfinished lies
            json.loads(path.read_bytes())


def test_again_makes_nothing_and_ends_with_the_same(desk: Desk) -> None:
    first = desk.sealift("release", "--json")
    assert first.status == 0, first.stderr
    before = json.loads(first.stdout)
    assert not services(desk)
    again = desk.sealift("release", "--json")
    assert again.status == 0, again.stderr
    after = json.loads(again.stdout)
    assert after["images"] == before["images"]
    assert after["release_url"] == before["release_url"]
    assert len(after["signatures"]) == len(before["signatures"])
    assert not any(entry["made"] for entry in after["signatures"])


def test_each_station_runs_alone(desk: Desk) -> None:
    for station in ("prove", "scan", "verify"):
        said = desk.sealift(station, "--json")
        assert said.status == 0, said.stderr
        gates = json.loads(said.stdout)
        assert gates
        assert {gate["station"] for gate in gates} == {station}


def test_a_named_world_remembers_what_was_released_in_it(desk: Desk) -> None:
    world = "--world-name=shared"
    assert desk.sealift("release", world, "--version=1.0.0").status == 0
    (desk.folder / "src/health-caretaker/cmd/health-caretaker/other.go").write_text("package main\n")
    desk.git("add", "-A")
    desk.git("commit", "-qm", "Another commit")
    refused = desk.sealift("release", world, "--version=1.0.0")
    assert refused.status == 2, refused.stderr
    assert "the tag v1.0.0 names" in refused.stderr
    older = desk.sealift("release", world, "--version=0.9.0", "--json")
    assert older.status == 0, older.stderr
    tags = json.loads(older.stdout)["images"]["static"]["tags"]
    # 0.9 and 0 are new here; latest belongs to 1.0.0 and stays there.
    assert tags == ["0.9.0", "0.9", "0"]
