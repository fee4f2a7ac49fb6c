"""A node of the line: tried again while the outside fails, written down however it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift import process, resume
from sealift.errors import ManyErrors, OutsideError, RefusedError, SealiftError
from sealift.line import STATIONS, Line
from sealift.model.codec import from_json
from sealift.model.evidence import Built, Evidence, Gate
from sealift.model.run import RunFolder
from sealift.stations.gate import NotCheckedError
from tests.unit.stations import things

DONE = Evidence(gates=(Gate(station="push", subject="static", verdict="pass", detail="there"),))


def line(folder: Path, *, patience: float) -> Line:
    nothing: Any = None
    run = RunFolder(folder)
    run.write_plan(things.plan())
    return Line(
        plan=things.plan(),
        run=run,
        world=replace(things.world(folder), patience_seconds=patience),
        source=folder,
        go=folder,
        cache=folder,
        engine=nothing,
        guard=nothing,
        exceptions=(),
        programs={},
        again="sealift push --production",
    )


def play(made: Line, work: Callable[[], Evidence]) -> None:
    made._node("push", "static", (), work).action()


def written(made: Line, *, refused: bool = False) -> list[tuple[str, str]]:
    path = made.run.evidence_file("push", "static")
    path = path.with_suffix(".refused.json") if refused else path
    return [(g.verdict, g.detail) for g in from_json(path.read_bytes(), Evidence, source="").gates]


class Work:
    """Fails with one error after another, and is done then."""

    def __init__(self, *errors: SealiftError) -> None:
        self.errors = list(errors)
        self.tries = 0

    def __call__(self) -> Evidence:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return DONE


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the time pass at once."""
    waited: list[float] = []

    def wait(seconds: float, *, in_vain: Callable[[], bool]) -> None:
        assert not in_vain()
        waited.append(seconds)

    monkeypatch.setattr(process, "pause", wait)
    return waited


def test_a_node_is_tried_again_and_only_its_end_is_written(tmp_path: Path, pauses: list[float]) -> None:
    made, work = line(tmp_path, patience=60), Work(OutsideError("away"), OutsideError("away", retry_after=3))
    play(made, work)
    assert (work.tries, len(pauses)) == (3, 2)
    assert pauses[1] >= 3
    assert written(made) == [("pass", "there")]
    assert not made.run.evidence_file("push", "static").with_suffix(".refused.json").exists()


def test_after_the_budget_it_is_not_checked_and_the_error_names_the_command(tmp_path: Path) -> None:
    made, work = line(tmp_path, patience=0), Work(OutsideError("away"))
    with pytest.raises(OutsideError, match="tried once") as caught:
        play(made, work)
    assert (caught.value.exit_code, caught.value.next_step) == (4, "sealift push --production")
    assert written(made, refused=True) == [("not-checked", "away")]
    assert not made.run.evidence_file("push", "static").exists()


def test_what_a_gate_could_not_look_at_keeps_its_own_words(tmp_path: Path) -> None:
    gates = (Gate(station="verify", subject="x", verdict="not-checked", detail="no answer"),)
    error = NotCheckedError(gates, [OutsideError("away")], means="", next_step="")
    made = line(tmp_path, patience=0)
    with pytest.raises(NotCheckedError, match="tried once"):
        play(made, Work(error))
    assert written(made, refused=True) == [("not-checked", "no answer")]


def test_a_refusal_is_written_at_once(tmp_path: Path, pauses: list[float]) -> None:
    made, work = line(tmp_path, patience=60), Work(RefusedError("no"))
    with pytest.raises(RefusedError):
        play(made, work)
    assert (work.tries, pauses, written(made, refused=True)) == (1, [], [("refused", "no")])


def test_several_refusals_are_a_refusal(tmp_path: Path) -> None:
    made = line(tmp_path, patience=60)
    with pytest.raises(ManyErrors):
        play(made, Work(ManyErrors([OutsideError("away"), RefusedError("no")])))
    assert [verdict for verdict, _ in written(made, refused=True)] == ["refused"]


@pytest.mark.parametrize("gone", [FileNotFoundError("sbom"), msgspec.DecodeError("cut off")])
def test_where_a_file_of_the_run_is_gone_everything_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: Exception
) -> None:
    def built(_: str) -> Built:
        raise gone

    made = line(tmp_path, patience=0)
    monkeypatch.setattr(resume, "may_be_out", lambda _: True)
    monkeypatch.setattr(made, "built", built)
    assert resume.remaining(made) == STATIONS


def test_where_one_node_has_failed_no_other_waits(tmp_path: Path, pauses: list[float]) -> None:
    made, work = line(tmp_path, patience=60), Work(OutsideError("away"))
    with pytest.raises(RefusedError):
        play(made, Work(RefusedError("no")))
    with pytest.raises(OutsideError, match="something else has failed for good"):
        play(made, work)
    assert (work.tries, pauses) == (1, [])


def test_what_comes_first_is_not_tried_again(tmp_path: Path) -> None:
    work, waits = Work(), []

    def first() -> None:
        waits.append(1)
        raise OutsideError("a service did not come up")

    made = line(tmp_path, patience=60)
    with pytest.raises(OutsideError, match="did not come up"):
        made._node("base", "static", (), work, first=first).action()
    assert (len(waits), work.tries) == (1, 0)
    assert not made.run.has("base", "static")
