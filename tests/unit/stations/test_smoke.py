"""Smoke: what a container leaves is somebody's to remove, however the run ends."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from sealift import process
from sealift.errors import SealiftError
from sealift.model.names import Platform
from sealift.model.plan import Cell
from sealift.process import Completed
from sealift.stations.smoke import Trial


class Guard:
    """Remembers what is owed."""

    def __init__(self) -> None:
        self.owed: dict[str, tuple[str, ...]] = {}

    def owe(self, name: str, argv: tuple[str, ...]) -> None:
        self.owed[name] = argv

    def paid(self, name: str) -> None:
        del self.owed[name]


def trial(guard: Guard, status: int) -> Trial:
    done = Completed(argv=("podman", "run"), returncode=status, stdout="", stderr="")
    engine: Any = SimpleNamespace(once=lambda *_, **__: done, removal=lambda name: ("podman", "rm", name))
    owed: Any = guard
    return Trial(engine=engine, guard=owed, image="app", cell=Cell("static", Platform("linux/amd64")))


def test_a_container_that_ended_is_nobodys_to_remove() -> None:
    guard = Guard()
    trial(guard, 0).once("-version")
    assert guard.owed == {}


def test_a_container_whose_engine_was_ended_is_still_to_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = threading.Event()
    ending.set()
    monkeypatch.setattr(process, "_ending", ending)
    guard = Guard()
    with pytest.raises(SealiftError):
        trial(guard, -15).once("-version")
    assert [argv[:2] for argv in guard.owed.values()] == [("podman", "rm")]
