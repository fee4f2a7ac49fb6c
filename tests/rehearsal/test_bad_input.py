"""What bad input gets: one clear error, the right exit code, nothing half-done."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import pytest

from tests.rehearsal.playing import Desk

pytestmark = pytest.mark.programs


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk.set_up(tmp_path / "clone")


def change(desk: Desk, old: str, new: str) -> None:
    path = desk.folder / "ci" / "release.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_plan_needs_git_and_nothing_else(desk: Desk, tmp_path: Path) -> None:
    only_git = tmp_path / "bin"
    only_git.mkdir()
    (only_git / "git").symlink_to(str(shutil.which("git")))
    said = desk.sealift(
        "plan", "--json", env={"PATH": str(only_git), "SEALIFT_CACHE": str(tmp_path / "none")}
    )
    assert said.status == 0, said.stderr
    plan = json.loads(said.stdout)
    assert (plan["version"], len(plan["config"]["variants"])) == ("0.1.0", 2)
    assert not (tmp_path / "none").exists()


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_one(desk: Desk) -> None:
    change(desk, "  stop_seconds: 2", "  stop_secnds: 2")
    said = desk.sealift("release")
    assert said.status == 2
    line = (desk.folder / "ci/release.yaml").read_text().splitlines().index("  stop_secnds: 2") + 1
    assert f"release.yaml:{line}: unknown key stop_secnds" in said.stderr
    assert "stop_seconds" in said.stderr


def test_a_platform_that_go_does_not_know(desk: Desk) -> None:
    change(desk, "linux/arm64", "linux/arm46")
    said = desk.sealift("plan")
    assert said.status == 2
    assert "linux/arm46" in said.stderr
    assert "linux/arm64" in said.stderr


@pytest.mark.parametrize("version", ["1.2", "latest", "1.2.3+build", "01.2.3"])
def test_a_version_that_is_none(desk: Desk, version: str) -> None:
    said = desk.sealift("release", f"--version={version}")
    assert said.status == 2
    assert version in said.stderr


def test_a_tag_that_names_another_commit(desk: Desk) -> None:
    desk.git("tag", "v1.0.0")
    desk.git("commit", "-q", "--allow-empty", "-m", "Another commit")
    said = desk.sealift("plan", "--version=1.0.0")
    assert said.status == 2
    assert "v1.0.0 names" in said.stderr


def test_a_dirty_tree_names_what_is_left_out(desk: Desk) -> None:
    (desk.folder / "README.md").write_text("changed\n", encoding="utf-8")
    (desk.folder / "new.txt").write_text("new\n", encoding="utf-8")
    said = desk.sealift("plan", "--json")
    assert json.loads(said.stdout)["left_out"] == ["README.md", "new.txt"]


def test_production_is_not_for_a_desk(desk: Desk) -> None:
    desk.git("tag", "v1.0.0")
    said = desk.sealift("release", "--production", env={"GITHUB_ACTIONS": ""})
    assert said.status == 2
    assert "GitHub Actions" in said.stderr


def test_a_port_that_is_taken(desk: Desk) -> None:
    world = desk.folder / "build" / "rehearsal" / "busy"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (world / "sigstore").mkdir(parents=True)
        (world / "sigstore" / "ports.json").write_text(json.dumps({"issuer": port}), encoding="utf-8")
        said = desk.sealift("sign", "--world-name=busy")
    assert said.status == 4
    assert str(port) in said.stderr
    assert "issuer" in said.stderr


def test_a_station_whose_input_is_not_there(desk: Desk) -> None:
    said = desk.sealift("prove")
    assert said.status == 2
    assert "sealift compile" in said.stderr
