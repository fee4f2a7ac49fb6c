"""What fails on our own side of the wire: a disk that is full, and a clock that is an hour off."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sealift.errors import OutsideError
from sealift.line import Line
from sealift.process import ProgramFailedError, run
from sealift.services.ports import free_ports
from sealift.services.registry import public_registry
from sealift.services.service import privileged
from sealift.services.supervised import Supervised
from tests.faults.stand import ENOUGH, Stand, play, rename_images, with_patience
from tests.faults.words import few, plain
from tests.rehearsal.playing import Desk, Said
from tests.whole import half_files

NOT_CHECKED = "not checked"
CLOCK = Path(__file__).with_name("clock.c")
HOUR = 3600
FULL_REGISTRY = "4; then 0"
FULL = "4, no traceback, no half file; then 0"
ENOUGH_ROOM = "4g"
VARIANTS = 2
# Some bundles fit in, and not all.
ROOM = 100_000
_SHRINKS = 50


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
        self._resize(size)

    def fill(self, room: int = 0) -> None:
        """Leave room for so many bytes, and no more."""
        for _ in range(_SHRINKS):
            # Whoever writes meanwhile needs more than was counted: then the kernel refuses.
            told = os.statvfs(self.folder)
            used = (told.f_blocks - told.f_bfree) * told.f_frsize
            with contextlib.suppress(ProgramFailedError):
                self._resize(str(used + room))
                return
        raise AssertionError(f"{self.folder} grew each time that it was to be full")

    def _resize(self, size: str) -> None:
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
    yield full_registry_at_sign(folder / "signed", stand)
    desk = Desk.set_up(folder / "desk")
    for size in ("4m", "64m"):
        yield full_run_folder(desk, size)
    yield full_once_pushed(desk)
    for hours in (1, -1):
        yield other_clock(desk, hours)


def full_run_folder(desk: Desk, size: str) -> Row:
    """Release onto a full disk, then make room and release again."""
    what = f"the run folder on a disk of {size}"
    try:
        with small_disk(desk.folder / "build" / "release", size) as disk:
            return _released_twice(what, desk, disk, "--version=1.0.0")
    except PermissionError:
        return Row(what=what, expected=FULL, got=NOT_CHECKED, held=False)


def full_once_pushed(desk: Desk) -> Row:
    """Release with room for everything until the images are out, then make room and release again."""
    what = "the run folder on a disk that is full once the images are pushed"
    try:
        with small_disk(desk.folder / "build" / "release", ENOUGH_ROOM) as disk, _filled_once_pushed(disk):
            return _released_twice(what, desk, disk, "--version=1.5.0")
    except PermissionError:
        return Row(what=what, expected=FULL, got=NOT_CHECKED, held=False)


@contextlib.contextmanager
def _filled_once_pushed(disk: Disk) -> Iterator[None]:
    """Have the disk be full as soon as there is evidence of every push."""
    over = threading.Event()

    def fill() -> None:
        while len(list(disk.folder.glob("1.*/evidence/push/*.json"))) < VARIANTS:
            if over.wait(0.005):
                return
        disk.fill()

    filling = threading.Thread(target=fill)
    filling.start()
    try:
        yield
    finally:
        over.set()
        filling.join()


def _released_twice(what: str, desk: Desk, disk: Disk, version: str) -> Row:
    """Release onto a disk that is full or will be, then with room."""
    full = desk.sealift("release", version)
    halves = half_files(disk.folder)
    disk.grow(ENOUGH_ROOM)
    again = desk.sealift("release", version)
    traced = "Traceback" in full.stderr
    got = f"{full.status}{', a traceback' if traced else ''}, {len(halves)} half files; then {again.status}"
    held = (full.status, again.status) == (OutsideError.exit_code, 0) and not traced and not halves
    return Row(what=what, expected=FULL, got=f"{got}: {last_words(full, again)}", held=held)


def full_registry(folder: Path, stand: Stand) -> Row:
    """Push into a registry whose disk is full, then make room and push again."""
    what = "the registry's folder on a disk of 2m"
    try:
        with _registry_on(folder, "2m", stand) as (disk, line):
            return _played_twice(what, "push", line, disk)
    except PermissionError:
        return Row(what=what, expected=FULL_REGISTRY, got=NOT_CHECKED, held=False)


def full_registry_at_sign(folder: Path, stand: Stand) -> Row:
    """Sign into a registry that has room for some of the bundles, then make room and sign again."""
    what = f"the registry's folder on a disk that has room for {ROOM} bytes at sign"
    try:
        with _registry_on(folder, ENOUGH_ROOM, stand) as (disk, line):
            pushed = play(with_patience(line, ENOUGH), ["push"])
            assert pushed.error is None, pushed.told
            disk.fill(ROOM)
            return _played_twice(what, "sign", line, disk)
    except PermissionError:
        return Row(what=what, expected=FULL_REGISTRY, got=NOT_CHECKED, held=False)


@contextlib.contextmanager
def _registry_on(folder: Path, size: str, stand: Stand) -> Iterator[tuple[Disk, Line]]:
    """Start a registry whose folder is a small disk, and give a release that is to be pushed there."""
    (port,) = free_ports(1).release()
    with small_disk(folder, size) as disk, Supervised(log=folder.with_suffix(".log")) as services:
        services.start([public_registry(folder / "kept", port, log=folder.with_suffix(".registry.log"))])
        line = stand.line("push", patience=1)
        there = replace(line, world=replace(line.world, registry=f"localhost:{port}"))
        rename_images(line, there)
        yield disk, there


def _played_twice(what: str, station: str, line: Line, disk: Disk) -> Row:
    """Play a station with a full disk, then with room."""
    full = play(line, [station])
    disk.grow(ENOUGH_ROOM)
    again = play(with_patience(line, ENOUGH), [station])
    said = few(full.error) if full.error else ""
    held = (full.code, again.code) == (OutsideError.exit_code, 0)
    return Row(what=what, expected=FULL_REGISTRY, got=f"{full.code}; then {again.code}: {said}", held=held)


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
