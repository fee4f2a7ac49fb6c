"""Which engine a comparison takes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from sealift.commands import compare
from sealift.errors import MissingProgramError
from sealift.provision import debian
from sealift.tools import engine
from sealift.tools.engine import Engine


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
