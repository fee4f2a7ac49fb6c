"""Unit tests touch neither the network nor any program: both raise here."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest


class TouchedTheWorldError(AssertionError):
    """A unit test reached outside its process."""


def refuse_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make connecting and starting programs fail."""

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise TouchedTheWorldError("a unit test may not use the network or start a program")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    for name in ("system", "posix_spawn", "posix_spawnp", "execv", "execve", "fork"):
        monkeypatch.setattr(os, name, refuse)


@pytest.fixture(autouse=True)
def no_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold every unit test to it."""
    refuse_world(monkeypatch)
