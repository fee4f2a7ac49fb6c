"""Ctrl-C twice is as safe as once: what clears away is left alone, and has an end."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

pytestmark = pytest.mark.programs

# A command that works for ever and clears away for some time.
COMMAND = """
    import subprocess, sys, time
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    import typer
    from sealift import __main__, cli, process

    folder, clearing, limit = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    sys.argv = ["sealift"]
    __main__.CLEARING_SECONDS = limit
    __main__._isolate = lambda: None
    cli.app = typer.Typer(pretty_exceptions_enable=False)

    @cli.app.command()
    def work():
        # As programs are built: nobody waits for the thread, and it for its program.
        ThreadPoolExecutor().submit(process.run, ["sleep", "600"])
        try:
            print("working", flush=True)
            # Python hears of a signal that comes right before it sleeps when the sleep is over.
            while True:
                time.sleep(0.1)
        finally:
            print("clearing", flush=True)
            time.sleep(clearing)
            # A program that clears away can be ended by a signal, as any other.
            subprocess.run(["sh", "-c", "kill -TERM $$; touch never"], cwd=folder)
            (folder / "cleared").touch()

    __main__.main()
"""


class Command:
    """One run of it."""

    def __init__(self, folder: Path, *, clearing: float, limit: float, stderr: int = subprocess.PIPE) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", dedent(COMMAND), str(folder), str(clearing), str(limit)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def until(self, word: str) -> None:
        """Read until it says a word."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 60)[0]
        assert self.process.stdout.readline() == f"{word}\n"

    def ended(self) -> tuple[int, str]:
        """Return its status and its words."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture
def commands() -> Iterator[list[Command]]:
    made: list[Command] = []
    yield made
    for one in made:
        with one.process:
            one.process.kill()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_twice_is_as_once(
    tmp_path: Path, commands: list[Command], first: signal.Signals, second: signal.Signals
) -> None:
    command = Command(tmp_path, clearing=1, limit=30)
    commands.append(command)
    command.until("working")
    os.kill(command.process.pid, first)
    command.until("clearing")
    began = time.monotonic()
    while command.process.poll() is None and time.monotonic() - began < 60:
        # To its very end.
        command.process.send_signal(second)
        time.sleep(0.01)
    status, said = command.ended()
    assert status == 130, said
    assert time.monotonic() - began < 30, "nobody waits for what is still running"
    assert (tmp_path / "cleared").exists()
    assert not (tmp_path / "never").exists()
    assert said.startswith(f"sealift: {first.name}: what was started is ended, which takes 30 s at most\n")
    assert "next: run the same again to go on" in said
    assert "it is ending already" in said
    assert "Traceback" not in said


def test_clearing_away_has_an_end(tmp_path: Path, commands: list[Command]) -> None:
    command = Command(tmp_path, clearing=600, limit=3)
    commands.append(command)
    command.until("working")
    os.kill(command.process.pid, signal.SIGINT)
    command.until("clearing")
    began = time.monotonic()
    status, said = command.ended()
    assert time.monotonic() - began < 30
    assert status == 130
    assert "not everything ended within 3 s; the rest is killed" in said
    assert not (tmp_path / "cleared").exists()


@pytest.fixture
def full() -> Iterator[int]:
    """The end to write to of a pipe that is full, and that nobody reads."""
    unread, end = os.pipe()
    os.set_blocking(end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(end, b"." * 4096)
    os.set_blocking(end, True)
    yield end
    os.close(end)
    os.close(unread)


def test_it_has_an_end_where_nobody_reads_what_is_said(
    tmp_path: Path, commands: list[Command], full: int
) -> None:
    command = Command(tmp_path, clearing=600, limit=3, stderr=full)
    commands.append(command)
    command.until("working")
    os.kill(command.process.pid, signal.SIGINT)
    command.until("clearing")
    assert command.process.wait(timeout=30) == 130
    assert not (tmp_path / "cleared").exists()


def test_what_a_shell_started_in_the_background_ignores_ctrl_c(
    tmp_path: Path, commands: list[Command]
) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        command = Command(tmp_path, clearing=0, limit=30)
        commands.append(command)
    finally:
        signal.signal(signal.SIGINT, before)
    command.until("working")
    os.kill(command.process.pid, signal.SIGINT)
    time.sleep(0.2)
    assert command.process.poll() is None
    os.kill(command.process.pid, signal.SIGTERM)
    assert command.ended()[0] == 130
