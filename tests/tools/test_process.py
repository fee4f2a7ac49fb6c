"""A program that takes too long is ended, and whoever waits for it hears why."""

from __future__ import annotations

import signal
import time

import pytest

from sealift import process
from sealift.process import ProgramFailedError

pytestmark = pytest.mark.programs


@pytest.mark.parametrize("check", [True, False])
def test_a_program_that_is_too_late_is_told_from_one_that_failed(
    monkeypatch: pytest.MonkeyPatch, *, check: bool
) -> None:
    kill = process.kill_group

    def kill_and_be_held_up(pid: int, sign: signal.Signals) -> None:
        kill(pid, sign)
        time.sleep(0.2)

    monkeypatch.setattr(process, "kill_group", kill_and_be_held_up)
    with pytest.raises(ProgramFailedError, match=r"sleep did not end within 0\.2 seconds"):
        process.run(["sleep", "60"], timeout=0.2, check=check)
