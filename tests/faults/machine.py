"""What fails on our own side of the wire: a disk that is full, and a clock that is an hour off."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sealift.errors import OutsideError
from sealift.process import ProgramFailedError, run
from sealift.services.ports import free_ports
from sealift.services.registry import public_registry
from sealift.services.service import privileged
from sealift.services.supervised import Supervised
from tests.faults.judging import few, plain
from tests.faults.stand import ENOUGH, Stand, play
from tests.rehearsal.playing import Desk, Said
from tests.whole import half_files

NOT_CHECKED = "not checked"
CLOCK = Path(__file__).with_name("clock.c")
HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table: what was done, what was expected of it, and what came."""

    what: str
    expected: str
    got: str
    held: bool

    def __str__(self) -> str:
        verdict = "held" if self.held else NOT_CHECKED if self.got == NOT_CHECKED else "did not hold"
        return f"| {self.what} | {self.expected} | {self.got} | {verdict} |"


@dataclass(frozen=True)
class Disk:
    """A small file system that can be made larger."""

    folder: Path

    def grow(self, size: str) -> None:
        """Make room."""
        run(privileged(["mount", "-o", f"remount,size={size}", os.fspath(self.folder)]))


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Disk]:
    """Mount one on a folder; raise PermissionError where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size},uid={os.getuid()},gid={os.getgid()},mode=755"
    try:
        run(privileged(["mount", "-t", "tmpfs", "-o", options, "tmpfs", os.fspath(folder)]), timeout=30)
    except ProgramFailedError as error:
        raise PermissionError(f"no file system can be mounted here: {error}") from error
    try:
        yield Disk(folder)
    finally:
        run(privileged(["umount", "--lazy", os.fspath(folder)]))


def rows(folder: Path, stand: Stand) -> Iterator[Row]:
    """Try everything."""
    yield full_registry(folder / "registry", stand)
    desk = Desk.set_up(folder / "desk")
    for size in ("4m", "64m"):
        yield full_run_folder(desk, size)
    for hours in (1, -1):
        yield other_clock(desk, hours)


def full_run_folder(desk: Desk, size: str) -> Row:
    """Release onto a full disk, then make room and release again."""
    what, expected = f"the run folder on a disk of {size}", "not 0, no traceback, no half file; then 0"
    try:
        with small_disk(desk.folder / "build" / "release", size) as disk:
            full = desk.sealift("release", "--version=1.0.0")
            halves = half_files(disk.folder)
            disk.grow("4g")
            again = desk.sealift("release", "--version=1.0.0")
    except PermissionError:
        return Row(what=what, expected=expected, got=NOT_CHECKED, held=False)
    traced = "Traceback" in full.stderr
    got = f"{full.status}{', a traceback' if traced else ''}, {len(halves)} half files; then {again.status}"
    held = full.status not in (0, 1) and not traced and not halves and again.status == 0
    return Row(what=what, expected=expected, got=f"{got}: {last_words(full, again)}", held=held)


def full_registry(folder: Path, stand: Stand) -> Row:
    """Push into a registry whose disk is full, then make room and push again."""
    what, expected = "the registry's folder on a disk of 2m", "4; then 0"
    (port,) = free_ports(1).release()
    try:
        with small_disk(folder, "2m") as disk, Supervised(log=folder.with_suffix(".log")) as services:
            services.start([public_registry(folder / "kept", port, log=folder.with_suffix(".registry.log"))])
            line = stand.line("push", patience=1)
            line = replace(line, world=replace(line.world, registry=f"localhost:{port}"))
            full = play(line, ["push"])
            disk.grow("1g")
            again = play(replace(line, world=replace(line.world, patience_seconds=ENOUGH)), ["push"])
    except PermissionError:
        return Row(what=what, expected=expected, got=NOT_CHECKED, held=False)
    said = few(full.error) if full.error else ""
    held = (full.code, again.code) == (4, 0)
    return Row(what=what, expected=expected, got=f"{full.code}; then {again.code}: {said}", held=held)


def other_clock(desk: Desk, hours: int) -> Row:
    """Release with a clock that is off, then with the right one, then verify with the one that is off.

    The services keep the right one.
    """
    version = f"--version=1.{2 + hours}.0"
    what = f"our clock {hours:+d} h: release; the right clock: release; {hours:+d} h: verify"
    elsewhen = {"LD_PRELOAD": os.fspath(_preload(desk.folder.parent)), "CLOCK_OFF": str(hours * HOUR)}
    off = desk.sealift("release", version, "--patience=3", env=elsewhen)
    again = desk.sealift("release", version)
    late = desk.sealift("verify", version, "--patience=3", env=elsewhen)
    codes = [said.status for said in (off, again, late)]
    traced = any("Traceback" in said.stderr for said in (off, again, late))
    held = {codes[0], codes[2]} <= {0, OutsideError.exit_code} and codes[1] == 0 and not traced
    got = f"{'; '.join(map(str, codes))}{', a traceback' if traced else ''}: {last_words(off, again, late)}"
    return Row(what=what, expected="4 or 0; 0; 4 or 0", got=got, held=held)


def _preload(folder: Path) -> Path:
    library = folder / "clock.so"
    run([sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O2", "-o", library, CLOCK])
    return library


def last_words(*told: Said) -> str:
    """Return the lines that say how commands ended."""
    lines = [line for said in told for line in said.stderr.splitlines() if line.startswith("sealift: ")]
    return "; ".join(plain(line.removeprefix("sealift: ")) for line in lines)
