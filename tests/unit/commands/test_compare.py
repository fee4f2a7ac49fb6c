"""Which engine a comparison takes, and which images."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import msgspec
import pytest

from sealift.commands import compare
from sealift.errors import MissingProgramError
from sealift.model.evidence import Evidence
from sealift.model.run import RunFolder
from sealift.provision import debian
from sealift.tools import engine
from sealift.tools.engine import Engine
from tests.unit.stations.things import plan


@pytest.mark.parametrize(
    ("answers", "installed"),
    [("docker", []), ("podman", ["runc"]), ("", ["podman", "runc"])],
    ids=["docker", "podman", "none"],
)
def test_podman_is_installed_only_where_no_engine_answers(
    answers: str, installed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def find(locks: Path) -> Engine:
        name = answers or next((n for n in asked if n == "podman"), "")
        if not name:
            raise MissingProgramError("no container engine answers here")
        return Engine(name=name, command=(name,), locks=locks)

    def ensure(programs: Collection[str]) -> None:
        asked.extend(programs)

    monkeypatch.setattr(engine, "find", find)
    monkeypatch.setattr(debian, "ensure", ensure)
    assert compare._engine(tmp_path).name == (answers or "podman")
    assert asked == installed


@pytest.fixture
def released(tmp_path: Path) -> RunFolder:
    """What a release of HEAD leaves, as far as its images."""
    run = RunFolder(tmp_path / "latest")
    run.write_plan(plan())
    for variant in plan().config.variants:
        run.write("image", variant, Evidence())
        (run.images / variant).mkdir(parents=True)
        (run.images / variant / "index.json").touch()
    return run


def test_the_last_release_is_measured_where_it_is_of_this_very_commit(released: RunFolder) -> None:
    assert compare._holds_images(released, plan().commit)


def another_commit(run: RunFolder) -> None:
    run.write_plan(msgspec.structs.replace(plan(), commit="0" * 40))


def a_changed_tree(run: RunFolder) -> None:
    run.write_plan(msgspec.structs.replace(plan(), modified=True))


def an_image_that_was_refused(run: RunFolder) -> None:
    run.forget("image", "base")


def an_image_that_is_gone(run: RunFolder) -> None:
    (run.images / "static" / "index.json").unlink()


def nothing(run: RunFolder) -> None:
    run.plan_file.unlink()


@pytest.mark.parametrize(
    "left", [another_commit, a_changed_tree, an_image_that_was_refused, an_image_that_is_gone, nothing]
)
def test_whatever_else_is_there_is_not(released: RunFolder, left: Callable[[RunFolder], None]) -> None:
    left(released)
    assert not compare._holds_images(released, plan().commit)
