"""Running again is the resume; ending early leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sealift.model.names import Digest, Repository
from sealift.model.statements import PredicateType
from sealift.provision.everything import Provided
from sealift.tools.registry_bundle import PREDICATE_ANNOTATION
from tests.kills.left import OwnDesk, own_desk
from tests.rehearsal.playing import SEALIFT, Desk
from tests.rehearsal.town import Town, delete

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def desk(provided: Provided) -> Iterator[OwnDesk]:
    assert provided.programs
    with own_desk() as desk:
        yield desk


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
    desk: OwnDesk, sign: signal.Signals, then: signal.Signals | None, status: int
) -> None:
    """``then`` is sent again and again while it clears away."""
    with subprocess.Popen(
        [*SEALIFT, "release"],
        cwd=desk.folder,
        env={**os.environ, **desk.env},
        stderr=subprocess.PIPE,
        text=True,
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
    assert desk.left() == []
    assert not list(desk.folder.glob("build/rehearsal/*/registry/health-caretaker*/index.json"))


@pytest.fixture(scope="module")
def town(desk: OwnDesk) -> Town:
    """The desk, with a release that is out."""
    said = desk.sealift("release")
    assert said.status == 0, said.stderr
    return Town(desk)


def contents(town: Town) -> dict[str, str]:
    """Return the hash of every file that the registry and GitHub remember.

    Not its time: the tag in git is written anew as each rehearsal begins.
    """
    return {path: digest for path, (_, digest) in town.remembered().items()}


def report(desk: Desk) -> dict[str, Any]:
    """Release, and return what it says of itself."""
    said = desk.sealift("release", "--json")
    assert said.status == 0, said.stderr
    told: dict[str, Any] = json.loads(said.stdout)
    return told


def last_report(desk: Desk) -> dict[str, Any]:
    """Return what the last release said of itself."""
    told: dict[str, Any] = json.loads((desk.latest / "report.json").read_bytes())
    return told


def ends(told: dict[str, Any]) -> tuple[object, ...]:
    """Return what a release has brought about, whoever did what of it."""
    return told["images"], told["release_url"], len(told["signatures"])


def made(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the subject and the kind of each statement that a release made."""
    return [(entry["subject"], entry["predicate_type"]) for entry in told["signatures"] if entry["made"]]


def test_again_makes_nothing_and_ends_with_the_same(desk: OwnDesk, town: Town) -> None:
    before, remembered = last_report(desk), contents(town)
    assert made(before)
    after = report(desk)
    assert made(after) == []
    assert ends(after) == ends(before)
    assert contents(town) == remembered
    assert desk.left() == []


def test_again_on_another_runner_makes_nothing_either(desk: OwnDesk, town: Town) -> None:
    before, remembered = last_report(desk), contents(town)
    shutil.rmtree(desk.folder / "build" / "release")
    after = report(desk)
    assert made(after) == []
    assert ends(after) == ends(before)
    assert contents(town) == remembered


def test_again_makes_the_one_signature_that_was_deleted(desk: OwnDesk, town: Town, tmp_path: Path) -> None:
    before, remembered = last_report(desk), contents(town)
    image = before["images"]["base"]
    digest = Digest(image["platforms"]["linux/arm64"]["digest"])
    repository = Repository(image["repository"])
    with town.registry(tmp_path) as registry:
        (signature,) = (
            found
            for found in registry.referrers(repository, digest)
            if found.annotations[PREDICATE_ANNOTATION] == PredicateType.SIGNATURE
        )
        delete(registry, repository.at(signature.digest))
    assert contents(town) != remembered
    after = report(desk)
    assert made(after) == [(repository.at(digest), PredicateType.SIGNATURE)]
    assert ends(after) == ends(before)
    assert desk.sealift("status").status == 0


@pytest.mark.usefixtures("town")
def test_each_station_runs_alone(desk: OwnDesk) -> None:
    # A scan that looks again makes what was made from the last one stale, as push tells verify.
    stale = desk.sealift("scan").status, desk.sealift("verify")
    assert (stale[0], stale[1].status) == (0, 3)
    assert "was made from evidence/scan/" in stale[1].stderr
    for station in ("prove", "push", "sign", "verify"):
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
