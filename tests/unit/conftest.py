"""Unit tests touch neither the network nor any program: both raise here."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest


class TouchedTheWorldError(AssertionError):
    """A unit test reached outside its process."""


@pytest.fixture(autouse=True)
def no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make connecting and starting programs fail."""
    forbid_world(monkeypatch)


def forbid_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make connecting and starting programs fail, for a test that is no unit test by its place."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise TouchedTheWorldError("a unit test may not use the network or start a program")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    for name in ("system", "posix_spawn", "posix_spawnp", "execv", "execve", "fork"):
        monkeypatch.setattr(os, name, refuse)
