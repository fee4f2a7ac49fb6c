"""The first run on a machine: nothing cached, every program built. It takes half an hour and more."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.speed.desk import Desk
from benchmarks.speed.machine import RESULTS
from benchmarks.speed.values import Figure, Part
from sealift.console import say
from sealift.errors import OutsideError

WORLD = "bench-first"
# What sealift.provision.programs says when a program is done.
_LAST = 10
_BUILT = re.compile(r"built (\S+) in (\d+) s")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line that the release said, and when, in seconds from its start."""

    at: float
    text: str


def measure() -> tuple[tuple[Figure, ...], dict[str, tuple[Part, ...]]]:
    """Release once with an empty cache, and say where the time went."""
    cache = RESULTS / "first-cache"
    shutil.rmtree(cache, ignore_errors=True)
    desk = Desk.set_up("first")
    try:
        with desk.world(WORLD):
            seconds, lines = _listen(desk, {**os.environ, "SEALIFT_CACHE": str(cache)})
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    figure = Figure(name="first", samples=(seconds,), made_of="once, not a median")
    return (figure,), {"first": parts_of(lines, seconds)}


def parts_of(lines: Iterable[Line], seconds: float) -> tuple[Part, ...]:
    """Return each program's seconds, longest first, and what came after the last of them."""
    said = list(lines)
    built = [(line.at, found) for line in said if (found := _BUILT.fullmatch(line.text.strip()))]
    programs = sorted((Part(name=f[1], seconds=float(f[2])) for _, f in built), key=lambda p: -p.seconds)
    last = max((at for at, _ in built), default=0.0)
    rest = Part(name="all else", seconds=seconds - last, note="bases, services, the line itself")
    return (*programs, rest)


def _listen(desk: Desk, env: dict[str, str]) -> tuple[float, list[Line]]:
    argv = [sys.executable, "-m", "sealift", "release", "--world-name", WORLD]
    begin, lines = time.monotonic(), []
    with subprocess.Popen(
        argv, cwd=desk.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as child:
        for text in child.stderr or ():
            lines.append(Line(at=time.monotonic() - begin, text=text))
            say(f"{lines[-1].at:7.1f} s  {text.rstrip()}")
    if child.returncode != 0:
        said = "".join(line.text for line in lines[-_LAST:])
        raise OutsideError(
            f"the first run ended with status {child.returncode}\n{said}", next_step="look above"
        )
    return time.monotonic() - begin, lines
