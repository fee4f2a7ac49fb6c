"""A world that is left while its services are still on their way up."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from sealift.rehearsal.world import Stage

pytestmark = pytest.mark.programs


class Late(Stage):
    """Its services begin when they are let."""

    let: threading.Event

    def start(self) -> None:
        self.let.wait()
        self._start([])


def test_what_comes_up_after_the_end_has_begun_is_ended_too(tmp_path: Path) -> None:
    unasked: Any = None
    stage = Late(
        plan=unasked,
        folder=tmp_path,
        wanted=unasked,
        images=tmp_path,
        ports={},
        sigstore=unasked,
        builder=unasked,
        bases={},
        ci=tmp_path,
    )
    stage.let = threading.Event()
    up = stage.begin()
    threading.Timer(0.2, stage.let.set).start()
    stage.close()
    up()
    assert stage.supervised is not None
    assert stage.supervised._process.poll() == 0
