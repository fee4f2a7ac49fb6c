"""The real buildx before a builder that is not there, or is lost."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.model.names import Platform
from sealift.process import ProgramFailedError
from sealift.services.buildkit import create_builder
from sealift.tools.buildx import BuildRequest, build

pytestmark = pytest.mark.programs


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "buildx").mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "BUILDX_CONFIG": str(tmp_path / "buildx"),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
    }


@pytest.fixture
def hangs_up(tmp_path: Path) -> Iterator[Path]:
    """A socket that takes each connection and ends it."""
    path = tmp_path / "buildkitd.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=_hang_up, args=(listener,), daemon=True).start()
        yield path
        listener.shutdown(socket.SHUT_RDWR)


def _hang_up(listener: socket.socket) -> None:
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


def failure(folder: Path, env: dict[str, str], builder: str) -> OutsideError:
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    request = BuildRequest(
        builder=builder,
        dockerfile=folder / "Dockerfile",
        context=folder,
        contexts={},
        arguments={},
        platforms=[Platform("linux/amd64")],
        labels={},
        name="app:1",
        epoch=0,
        output=folder / "layout",
    )
    with pytest.raises(OutsideError) as caught:
        build(request, env=env)
    return caught.value


def test_a_builder_that_is_not_there_is_tried_again(tmp_path: Path, env: dict[str, str]) -> None:
    create_builder(tmp_path / "nowhere.sock", "ours", env=env)
    error = failure(tmp_path, env, "ours")
    assert not isinstance(error, ProgramFailedError), error
    assert error.again
    assert "the builder ours cannot be reached" in error.happened


def test_a_builder_that_hangs_up_is_tried_again(tmp_path: Path, env: dict[str, str], hangs_up: Path) -> None:
    create_builder(hangs_up, "ours", env=env)
    error = failure(tmp_path, env, "ours")
    assert not isinstance(error, ProgramFailedError), error
    assert error.again


def test_a_builder_that_nobody_has_made_is_not(tmp_path: Path, env: dict[str, str]) -> None:
    error = failure(tmp_path, env, "nobodys")
    assert isinstance(error, ProgramFailedError)
    assert not error.again
