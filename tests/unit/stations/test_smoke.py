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
from sealift.stations.smoke import container

CELL = Cell("static", Platform("linux/amd64"))


class Guard:
    """Remembers what is owed."""

    def __init__(self) -> None:
        self.owed: dict[str, tuple[str, ...]] = {}

    def owe(self, name: str, argv: tuple[str, ...]) -> None:
        self.owed[name] = argv

    def paid(self, name: str) -> None:
        del self.owed[name]


def engine(*, removes: bool = True) -> Any:
    """Give one that removes by a program: not begun when the run is ending, and ended with it otherwise."""

    def remove(_name: str) -> bool:
        process.go_on()
        return removes

    return SimpleNamespace(remove=remove, removal=lambda name: ("podman", "rm", name))


def test_a_container_that_was_removed_is_nobodys_to_remove() -> None:
    guard: Any = Guard()
    with container(CELL, engine(), guard) as name:
        assert guard.owed == {name: ("podman", "rm", name)}
    assert guard.owed == {}


def test_a_container_of_a_run_that_is_ending_is_still_to_be_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = threading.Event()
    ending.set()
    monkeypatch.setattr(process, "_ending", ending)
    guard: Any = Guard()
    with pytest.raises(SealiftError), container(CELL, engine(), guard):
        pass
    assert [argv[:2] for argv in guard.owed.values()] == [("podman", "rm")]


def test_a_container_whose_removal_was_ended_halfway_is_still_to_be_removed() -> None:
    guard: Any = Guard()
    with container(CELL, engine(removes=False), guard) as name:
        pass
    assert guard.owed == {name: ("podman", "rm", name)}
