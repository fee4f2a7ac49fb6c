"""A world keeps its ports over many runs, and no other world of the machine gets them meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sealift.services import ports
from sealift.services.ports import lasting_ports


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a range so small that two worlds would soon choose the same port."""
    lowest = ports._first_ephemeral() - 40
    monkeypatch.setattr(ports, "_LOWEST", lowest)


def test_a_world_finds_its_ports_again(tmp_path: Path) -> None:
    file = tmp_path / "world" / "ports.json"
    file.parent.mkdir()
    first = lasting_ports(file, ["registry", "github"], claims=tmp_path / "claims")
    more = lasting_ports(file, ["github", "registry", "fulcio"], claims=tmp_path / "claims")
    assert {name: more[name] for name in first} == first
    assert len(set(more.values())) == 3


def test_no_two_worlds_choose_the_same_port_while_both_are_down(tmp_path: Path) -> None:
    chosen: list[int] = []
    for number in range(8):
        file = tmp_path / f"world-{number}" / "ports.json"
        file.parent.mkdir()
        chosen += lasting_ports(file, ["a", "b", "c"], claims=tmp_path / "claims").values()
    assert len(set(chosen)) == 24


def test_the_ports_of_a_world_that_is_gone_are_free_again(tmp_path: Path) -> None:
    for number in range(12):
        file = tmp_path / f"world-{number}" / "ports.json"
        file.parent.mkdir()
        lasting_ports(file, ["a", "b", "c", "d", "e"], claims=tmp_path / "claims")
        shutil.rmtree(file.parent)
    assert len(list((tmp_path / "claims").glob("*.json"))) == 1
