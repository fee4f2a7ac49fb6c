"""What the longest chain is, and how long the line took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.speed import chain

from sealift.model import config
from sealift.model.names import Version
from sealift.model.plan import Plan
from tests.conftest import ROOT

NEEDS = {"a": (), "b": (), "c": ("a",), "d": ("b", "c")}


def node(name: str, start: float, end: float, ready: float | None = None) -> chain.Timed:
    return chain.Timed(
        node=name, station=name, subject="", ready=start if ready is None else ready, start=start, end=end
    )


def test_the_longest_chain_is_the_one_whose_durations_add_up_to_most() -> None:
    nodes = [node("a", 0, 1), node("b", 0, 5), node("c", 1, 3), node("d", 5, 6)]
    assert [n.node for n in chain.longest(nodes, NEEDS)] == ["b", "d"]
    assert chain.total(chain.longest(nodes, NEEDS)) == 6


def test_the_time_that_a_node_waited_for_a_worker_is_not_its_own() -> None:
    nodes = [node("a", 4, 5, ready=0), node("b", 0, 1), node("c", 5, 6), node("d", 6, 7)]
    assert [n.node for n in chain.longest(nodes, NEEDS)] == ["a", "c", "d"]
    assert chain.total(chain.longest(nodes, NEEDS)) == 3
    assert chain.wall(nodes) == 7


def test_a_need_that_did_not_run_ends_a_chain() -> None:
    assert [n.node for n in chain.longest([node("d", 0, 1)], NEEDS)] == ["d"]


def test_a_stations_seconds_span_all_its_subjects() -> None:
    rows = [node("a", 1, 2), chain.Timed("a:2", "a", "2", 0, 3, 4.5), node("b", 0, 9)]
    assert chain.station_seconds(rows, "a") == pytest.approx(3.5)


def test_the_graph_of_a_plan_is_that_of_the_line() -> None:
    plan = Plan(
        version=Version.parse("1.2.3"),
        commit="c" * 40,
        time=0,
        modified=False,
        left_out=(),
        config=config.load(ROOT / "ci" / "release.yaml"),
        moving_tags=(),
    )
    needs = chain.needs_of(plan)
    assert needs["sign:1.2.3"] == ("push:static", "push:base")
    assert set(needs["image:static"]) == {"prove:static/linux/amd64", "prove:static/linux/arm64"}


def test_a_timeline_is_read_as_it_is_written(tmp_path: Path) -> None:
    program = {"argv0": "go", "start": 0.1, "end": 0.4, "cpu_seconds": 0.2, "max_rss_bytes": 1000}
    row = {"node": "a:x", "station": "a", "subject": "x", "ready": 0, "start": 0, "end": 1}
    path = tmp_path / "timeline.json"
    path.write_text(json.dumps([{**row, "programs": [program]}]))
    (read,) = chain.read(path)
    assert (read.seconds, read.programs[0].argv0) == (1, "go")
