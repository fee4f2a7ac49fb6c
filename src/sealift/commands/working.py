"""Run stations of an opened release; its timeline and report are written however it ends."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from sealift.commands.opening import Opened
from sealift.errors import SealiftError
from sealift.model.names import RunPath
from sealift.report import collect, summary
from sealift.report.timeline import add_to_timeline, write_timeline
from sealift.schedule import Schedule

# Nodes wait for programs and servers more than they compute. With two for each core the longest chain waited
# for workers, an eighth of its time; with three it does not, and the whole takes as long.
WORKERS = 3 * (os.cpu_count() or 2)
# From <malloc.h>. Measured with two services: 192 MB at the most with it, 304 MB without.
_M_MMAP_THRESHOLD, _BYTES = -3, 1 << 18
ENDINGS: Mapping[int, str] = {
    2: "not possible as asked",
    3: "refused",
    4: "failed outside",
    5: "not possible here",
    130: "interrupted",
}


def work(release: Opened, stations: Collection[str], began: float, *, alone: bool = False) -> None:
    """Run the nodes of some stations; ``began`` is when the command did, in monotonic seconds.

    With ``alone`` the timeline of the stations that ran before is kept.
    """
    _give_back()
    nodes = release.line.nodes(stations)
    for node in nodes:
        # What an earlier run said of it is not this run's word.
        release.line.run.forget(node.station, node.subject)
    schedule = Schedule(nodes, workers=WORKERS)
    try:
        schedule.run()
    finally:
        write = add_to_timeline if alone else write_timeline
        write(release.line.run, schedule.times.values(), began)


def report(release: Opened, ended: str, began: float) -> collect.Report:
    """Gather the evidence into ``report.json``, ``summary.md`` and GitHub's step summary."""
    line = release.line
    gathered = collect.collect(
        line.run,
        line.world,
        outcome=ended,
        exceptions=tuple(map(str, line.exceptions)),
        programs=_programs(release),
        seconds=time.monotonic() - began,
    )
    words = summary.markdown(gathered)
    line.run.publish(RunPath("report.json"), collect.as_json(gathered))
    line.run.publish(RunPath("summary.md"), words.encode())
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as file:
            file.write(words)
    return gathered


def ending(error: BaseException) -> str:
    """Say in a word or two how a release ended."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return ENDINGS.get(error.exit_code, "broken") if isinstance(error, SealiftError) else "broken"


def _give_back() -> None:
    """Have glibc return each layer's memory when it is freed.

    Left alone it raises its threshold to the greatest block it has seen, and keeps all that are smaller.
    """
    with suppress(AttributeError):  # another C library has no such thing, nor the habit
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _BYTES)


def _programs(release: Opened) -> tuple[collect.Program, ...]:
    go = release.provided.go
    return (
        collect.Program(name="go", version=go.version, origin=go.origin, sha256="", locked=False),
        *(
            collect.Program(
                name=p.name,
                version=p.version,
                origin=p.origin,
                sha256=p.sha256,
                locked=p.locked,
                note=p.note,
            )
            for p in release.provided.programs.values()
        ),
    )
