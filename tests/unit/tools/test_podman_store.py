"""podman's store on a machine where docker starts images, and nobody may become root."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.tools.podman_store import kept_store


def test_without_sudo_there_is_no_store_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path))
    with kept_store(tmp_path / "podman") as store:
        store.check()
    assert store.checked
