from __future__ import annotations

import threading

import pytest

from sealift import process
from sealift.errors import DefectError, OutsideError, RefusedError
from sealift.schedule import Node, Schedule, chains


def node(name: str, *needs: str, action: object = lambda: None) -> Node:
    return Node(station=name, subject="x", needs=tuple(f"{n}:x" for n in needs), action=action)  # type: ignore[arg-type]


def test_what_is_needed_runs_first() -> None:
    order: list[str] = []
    nodes = [
        node("c", "b", action=lambda: order.append("c")),
        node("b", "a", action=lambda: order.append("b")),
        node("a", action=lambda: order.append("a")),
    ]
    Schedule(nodes, workers=3).run()
    assert order == ["a", "b", "c"]


def test_the_longest_chain_starts_first() -> None:
    order: list[str] = []
    nodes = [
        node("short", action=lambda: order.append("short")),
        node("long", action=lambda: order.append("long")),
        node("after", "long", action=lambda: order.append("after")),
    ]
    assert chains(nodes)["long:x"] == 2
    Schedule(nodes, workers=1).run()
    assert order[0] == "long"


def test_two_that_are_ready_run_side_by_side() -> None:
    meet = threading.Barrier(2, timeout=10)
    Schedule([node("a", action=meet.wait), node("b", action=meet.wait)], workers=2).run()


def test_every_failure_of_a_level_is_collected_and_nothing_stands_on_it() -> None:
    ran: list[str] = []

    def refuse() -> None:
        raise RefusedError("no")

    def lose() -> None:
        raise OutsideError("away")

    schedule = Schedule(
        [
            node("a", action=refuse),
            node("b", action=lose),
            node("other", action=lambda: ran.append("other")),
            node("after", "a", action=lambda: ran.append("after")),
        ],
        workers=2,
    )
    with pytest.raises(Exception, match=r"no\naway") as raised:
        schedule.run()
    assert raised.value.exit_code == RefusedError.exit_code  # type: ignore[attr-defined]
    assert ran == ["other"]
    assert set(schedule.times) == {"a:x", "b:x", "other:x"}


def test_a_defect_is_not_swallowed_and_ends_every_program(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []
    monkeypatch.setattr(process, "end_all", lambda: ended.append(True))

    def break_() -> None:
        raise KeyError("ours")

    with pytest.raises(KeyError, match="ours"):
        Schedule([node("a", action=break_)], workers=1).run()
    assert ended


def test_a_graph_with_a_circle_or_a_hole_is_refused() -> None:
    with pytest.raises(DefectError, match="circle"):
        chains([node("a", "b"), node("b", "a")])
    with pytest.raises(DefectError, match="not in the graph"):
        chains([node("a", "nowhere")])
