"""The guard of conftest.py, tried: a unit test that reaches outside must fail."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sealift import process
from tests.unit.conftest import TouchedTheWorldError


def test_a_program_cannot_be_started() -> None:
    with pytest.raises(TouchedTheWorldError):
        process.run(["true"])
    with pytest.raises(TouchedTheWorldError):
        os.system("true")  # noqa: S605


def test_the_network_cannot_be_reached() -> None:
    with socket.socket() as s, pytest.raises(TouchedTheWorldError):
        s.connect(("127.0.0.1", 9))


def test_this_folder_is_the_guarded_one() -> None:
    assert (Path(__file__).parent / "conftest.py").exists()
