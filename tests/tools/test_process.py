"""A program that is ended, for its time or with the run, is not taken for one that has ended."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sealift import process
from sealift.errors import InterruptedReleaseError
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


@pytest.mark.parametrize("check", [True, False])
def test_a_program_that_was_ended_with_the_run_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, check: bool
) -> None:
    monkeypatch.setattr(process, "_ending", threading.Event())
    begun = tmp_path / "begun"
    # As podman does: it is told to end, and says that all went well.
    obeys = f"trap 'exit 0' TERM; touch {begun}; while :; do sleep 0.05; done"
    with ThreadPoolExecutor() as pool:
        running = pool.submit(process.run, ["sh", "-c", obeys], check=check)
        while not begun.exists() and not running.done():
            time.sleep(0.01)
        process.end_all()
        with pytest.raises(InterruptedReleaseError):
            running.result(60)


class Told(BaseException):
    """Ctrl-C, where whoever waits hears of it."""


def test_a_program_whose_waiter_is_interrupted_has_ended_before_anything_is_cleared(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    obeys = tmp_path / "obeys"
    begun = tmp_path / "begun"

    def interrupted(_pid: int) -> int:
        while not begun.exists():
            time.sleep(0.01)
        raise Told

    monkeypatch.setattr(process, "_watch", interrupted)
    ends = f"trap 'sleep 0.3; touch {obeys}; exit 0' TERM; touch {begun}; while :; do sleep 0.05; done"
    with pytest.raises(Told):
        process.run(["sh", "-c", ends])
    assert obeys.exists()
