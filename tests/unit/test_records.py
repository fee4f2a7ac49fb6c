"""Where no key can be kept, nothing is written beside it either, and what this run records still counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift import records


@pytest.mark.parametrize("home", ["relative", "file/below"])
def test_no_key_is_kept_in_a_home_that_cannot_have_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", home if home == "relative" else str(tmp_path / home))
    records.write(tmp_path / "record", "name", b"content")
    assert records.read(tmp_path / "record", "name") == b"content"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "record"]
    monkeypatch.setattr(records, "_of_this_run", b"another run")
    assert records.read(tmp_path / "record", "name") is None
