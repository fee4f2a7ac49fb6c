"""How apt is called where a package is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sealift.network import settings
from sealift.process import Completed
from sealift.provision import debian


@pytest.mark.parametrize(
    ("prefix", "kept"),
    [(("sudo", "-n"), ["--preserve-env=HTTPS_PROXY,https_proxy,NO_PROXY,no_proxy"]), ((), [])],
)
def test_apt_leaves_by_the_proxy_and_shows_no_login(
    monkeypatch: pytest.MonkeyPatch, prefix: tuple[str, ...], kept: list[str]
) -> None:
    started: list[tuple[list[str], Mapping[str, str]]] = []

    def run(argv: list[str], *, env: Mapping[str, str], **_: Any) -> Completed:
        started.append((argv, env))
        return Completed(argv=tuple(argv), returncode=len(started) == 1, stdout="", stderr="")

    for name in settings():
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", "me:secret@proxy.example:3128")
    monkeypatch.setattr(debian, "run", run)
    debian._apt(prefix, ["runc"])
    assert ["install" in argv for argv, _ in started] == [True, False, True]
    for argv, env in started:
        assert argv[: len(prefix) + len(kept)] == [*prefix, *kept]
        assert env["https_proxy"] == "http://me:secret@proxy.example:3128"
        assert "secret" not in " ".join(argv)
