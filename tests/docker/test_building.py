"""Which images a build begins with, whether they can be had, and how it ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from sealift.commands import docker as verbs
from sealift.commands import docker_build as building
from sealift.errors import OutsideError, UsageError
from sealift.model import config as configuration
from sealift.provision.everything import Provided
from sealift.tools.http import Answer, Http
from tests.docker.conftest import DOCKERFILES, PLATFORMS, ROOT, StandIns, golang_name
from tests.docker.looking import eventually, which
from tests.tools.scripted import Reply, serving

pytestmark = pytest.mark.programs


@pytest.mark.parametrize("variant", DOCKERFILES)
def test_a_build_knows_the_images_that_it_begins_with(variant: str) -> None:
    config = configuration.load(ROOT / "ci" / "release.yaml")
    build = building.Build(root=ROOT, config=config, variant=variant, version="dev", stand_ins=False)
    assert build.begins_with == (golang_name(), f"gcr.io/distroless/{variant}-{config.suite}:nonroot")
    assert build.dockerfile == ROOT / DOCKERFILES[variant]


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("golang:1.26-bookworm", "registry-1.docker.io"),
        ("library/golang", "registry-1.docker.io"),
        ("gcr.io/distroless/static-debian13:nonroot", "gcr.io"),
        ("localhost:5000/name", "localhost:5000"),
    ],
)
@pytest.mark.parametrize(
    ("status", "there"), [(200, True), (401, True), (403, False), (502, False), (None, False)]
)
def test_a_registry_is_there_when_it_answers_as_one(
    image: str, host: str, status: int | None, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(http: Http, method: str, url: str, *, headers: Mapping[str, str]) -> Answer:
        asked.append((method, url, dict(headers)))
        assert http._connect < 10
        assert http._read < 10
        if status is None:
            raise OutsideError("no such host")
        return Answer(url=url, status=status, headers={}, body=b"")

    monkeypatch.setattr(Http, "ask", answer)
    assert building.reachable(image) == there
    assert asked == [("GET", f"https://{host}/v2/", {})]


def test_what_speaks_no_http_is_no_registry() -> None:
    with serving(lambda _: Reply(raw=b"SSH-2.0")) as server:
        assert not building.reachable(f"{server.host}/distroless/static-debian13:nonroot")


def test_an_image_that_nothing_can_stand_in_for_is_refused(programs: Provided, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ubuntu:24\.04 cannot be reached"):
        building._stand_ins(["ubuntu:24.04"], PLATFORMS, programs, tmp_path)


@pytest.mark.parametrize("text", ["name", "localhost:5000/name", "localhost:5000/name:", "name:1"])
def test_a_push_names_registry_repository_and_tag(text: str) -> None:
    with pytest.raises(UsageError):
        verbs._target(text)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_interrupted_leaves_nothing(
    sign: signal.Signals, clone: Path, stand_ins: StandIns, tmp_path: Path
) -> None:
    # What the build begins with, or it would be made first.
    assert stand_ins.layouts
    words = [
        which("sealift"),
        "docker",
        "build",
        "base",
        "--multi",
        "--stand-ins",
        "--version",
        tmp_path.name,
    ]
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(words, cwd=clone, stderr=log, start_new_session=True)
        try:
            assert eventually(lambda: _builds(clone) != [] or running.poll() is not None, 300)
            os.kill(running.pid, sign)
            assert running.wait(timeout=60) == 130, (tmp_path / "log").read_text()
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
    assert _builds(clone) == []
    assert list((clone / "build" / "docker").glob(".*")) == []


def _builds(clone: Path) -> list[str]:
    """Name the builds of this checkout that run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"build" in words and any(word.startswith(os.fsencode(clone)) for word in words):
            found.append(process.name)
    return found
