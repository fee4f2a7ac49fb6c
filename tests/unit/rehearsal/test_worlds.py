"""A world is nobody's to remove while a release plays in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.commands import rehearse
from sealift.errors import ManyErrors, OutsideError
from sealift.rehearsal.worlds import WORLDS_KEPT, alone, prune, worlds

BOTH = ("one", "two")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(rehearse, "checkout", lambda: tmp_path)
    return tmp_path


def played(root: Path, name: str, age: float = 0) -> Path:
    """Make a world that was last played in so many seconds ago."""
    world = root / "build" / "rehearsal" / name
    (world / "registry").mkdir(parents=True)
    when = world.stat().st_mtime - age
    with alone(world):
        os.utime(world, (when, when))
    return world


def names(root: Path) -> list[str]:
    return sorted(world.name for world in worlds(root))


def test_reset_forgets_every_world_and_its_lock(root: Path) -> None:
    for name in BOTH:
        played(root, name)
    rehearse.reset()
    assert list((root / "build" / "rehearsal").iterdir()) == []


def test_reset_forgets_the_world_that_is_named(root: Path) -> None:
    for name in BOTH:
        played(root, name)
    rehearse.reset(world_name="two")
    assert names(root) == ["one"]


def test_reset_removes_nothing_of_a_world_that_is_played_in(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, _ = (played(root, name) for name in BOTH)
    with alone(one):
        with pytest.raises(ManyErrors, match="another run is playing in the world one") as caught:
            rehearse.reset()
        assert (one / "registry").is_dir()
        with pytest.raises(OutsideError), alone(one):
            pass
    assert caught.value.exit_code == OutsideError.exit_code
    assert "what it means: nothing of it was removed" in str(caught.value)
    assert "next: wait for it, then: sealift rehearse reset --world-name one" in str(caught.value)
    assert (names(root), capsys.readouterr().err) == (["one"], "forgot two\n")
    rehearse.reset()
    assert names(root) == []


def test_the_newest_worlds_of_commits_are_kept_and_a_named_one_stays(root: Path) -> None:
    commits = [played(root, f"{number:040x}", age=number).name for number in range(WORLDS_KEPT + 2)]
    played(root, "mine", age=1000)
    prune(root)
    assert names(root) == [*commits[:WORLDS_KEPT], "mine"]
    assert not (root / "build" / "rehearsal" / f".{commits[-1]}.lock").exists()


def test_an_old_world_that_is_played_in_stays_till_another_time(root: Path) -> None:
    old = [played(root, f"{number:040x}", age=number) for number in range(WORLDS_KEPT + 2)][-1]
    with alone(old):
        prune(root)
        assert (old / "registry").is_dir()
    assert len(names(root)) == WORLDS_KEPT + 1
    prune(root)
    assert old.name not in names(root)
