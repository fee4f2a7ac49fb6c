"""How go starts our cache."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from sealift.tools import compiling, gocache


@pytest.mark.parametrize("libraries", ["", "/opt/a folder/lib:/opt/lib"])
def test_the_cache_starts_with_the_libraries_of_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libraries: str
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", libraries)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    words = shlex.split(compiling.go_cache()["GOCACHEPROG"])
    given = ["/usr/bin/env", f"LD_LIBRARY_PATH={libraries}"] if libraries else []
    assert words == [*given, str(Path(sys.executable).resolve()), "-I", "-S", gocache.__file__]
