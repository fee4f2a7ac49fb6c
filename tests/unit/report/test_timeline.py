"""The timeline: seconds from the start, and what ran alone comes after what ran before."""

from __future__ import annotations

import json
from pathlib import Path

from sealift.model.run import RunFolder
from sealift.process import Ran
from sealift.report.timeline import add_to_timeline, write_timeline
from sealift.schedule import Node, Timed


def timed(station: str, start: float, end: float) -> Timed:
    node = Node(station=station, subject="x", needs=(), action=lambda: None)
    ran = Ran(argv0="go", start=start, end=end, cpu_seconds=0.5, max_rss_bytes=1024)
    return Timed(node, ready=start, start=start, end=end, programs=[ran])


def rows(run: RunFolder) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((run.root / "timeline.json").read_text(encoding="utf-8"))
    return found


def test_seconds_count_from_the_start(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_timeline(run, [timed("prove", 103.0, 104.5), timed("compile", 101.0, 103.0)], 100.0)
    first, second = rows(run)
    assert (first["node"], first["start"], first["end"]) == ("compile:x", 1.0, 3.0)
    assert (second["node"], second["ready"]) == ("prove:x", 3.0)
    assert second["programs"] == [
        {"argv0": "go", "start": 3.0, "end": 4.5, "cpu_seconds": 0.5, "max_rss_bytes": 1024}
    ]


def test_one_that_did_not_end_is_left_out(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_timeline(run, [timed("prove", 101.0, 0.0)], 100.0)
    assert rows(run) == []


def test_a_station_alone_is_added_and_takes_its_own_old_place(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    add_to_timeline(run, [timed("compile", 11.0, 13.0)], 10.0)
    add_to_timeline(run, [timed("prove", 501.0, 502.0)], 500.0)
    assert [(r["node"], r["start"], r["end"]) for r in rows(run)] == [
        ("compile:x", 1.0, 3.0),
        ("prove:x", 4.0, 5.0),
    ]
    add_to_timeline(run, [timed("prove", 901.0, 903.0)], 900.0)
    assert [(r["node"], r["end"]) for r in rows(run)] == [("compile:x", 3.0), ("prove:x", 6.0)]
