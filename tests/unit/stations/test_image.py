"""Image: one thing in it that was not planned, and it is refused, each named by what is wrong."""

from __future__ import annotations

from pathlib import Path

from tests.unit.stations.imaged import look, right_image


def test_what_was_planned_passes(tmp_path: Path) -> None:
    built = look(tmp_path, right_image())
    assert {gate.verdict for gate in built.gates} == {"pass"}
