"""A run folder belongs to one plan, or to nobody."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from sealift.model.policy import Changes
from sealift.model.run import RunFolder
from tests.unit.stations.things import plan


def test_what_another_commit_left_is_removed_and_what_the_same_made_stays(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path, plan())
    (made := run.root / "made").touch()
    RunFolder.open(tmp_path, plan())
    assert made.exists()
    RunFolder.open(tmp_path, msgspec.structs.replace(plan(), commit="b" * 40))
    assert not made.exists()


def test_a_folder_that_is_half_removed_belongs_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    run = RunFolder.open(tmp_path, plan())
    (left := run.root / "left").touch()
    other = msgspec.structs.replace(plan(), commit="b" * 40)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            RunFolder.open(tmp_path, other)
    RunFolder.open(tmp_path, plan())
    assert not left.exists()


def test_a_sealed_folder_keeps_its_plan_when_another_versions_tag_has_come_since(tmp_path: Path) -> None:
    first = plan()
    later = msgspec.structs.replace(first, policy=Changes(since="9.9.9"))
    run = RunFolder.open(tmp_path, first)
    (made := run.root / "made").touch()
    assert RunFolder.open(tmp_path, later, sealed=True).read_plan() == first
    assert made.exists()
    assert RunFolder.open(tmp_path, later).read_plan() == later
    other = msgspec.structs.replace(first, commit="b" * 40)
    assert RunFolder.open(tmp_path, other, sealed=True).read_plan() == other
    assert not made.exists()
