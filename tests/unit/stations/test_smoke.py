"""An image that cannot be started is refused; an engine that is broken refuses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sealift.process import Completed, ProgramFailedError
from sealift.stations import smoke
from sealift.stations.gate import GateRefusedError, Looks
from sealift.tools.engine import Engine
from tests.unit.stations.things import AMD64, plan


class Broken(Engine):
    """An engine that starts nothing, and says one thing."""

    def start_whole(self, *_: object) -> None:
        done = Completed(argv=("docker", "start"), returncode=127, stdout="", stderr=self.name)
        raise ProgramFailedError(done)


def started(monkeypatch: pytest.MonkeyPatch, words: str) -> Looks:
    @contextmanager
    def ports(_count: int) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(release=lambda: (1, 2))

    monkeypatch.setattr(smoke, "free_ports", ports)
    looks = Looks("smoke", "static/linux/amd64")
    engine = cast("Engine", Broken(name=words, command=("docker",), locks=Path()))
    assert smoke._look_service(looks, plan(), engine, "image", AMD64, "name") == ("", 0, 0)
    return looks


def test_an_image_whose_program_cannot_be_started_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    words = 'runc: exec: "/service": stat /service: no such file or directory'
    looks = started(monkeypatch, words)
    with pytest.raises(GateRefusedError, match="cannot start it") as refused:
        looks.done(means="", next_step="")
    assert words in str(refused.value)


def test_an_engine_that_is_broken_says_nothing_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProgramFailedError):
        started(monkeypatch, "Cannot connect to the Docker daemon")
