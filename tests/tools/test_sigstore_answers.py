"""A world's own Sigstore that answers half, or not as itself: a service failed, and no code of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sealift.errors import OutsideError
from sealift.rehearsal.issuer import fetch_token
from sealift.rehearsal.sigstore import LocalSigstore
from sealift.rehearsal.sigstore_trust import Profile
from tests.tools.scripted import Reply, serving, told

pytestmark = pytest.mark.programs

NO_HTTP = Reply(raw=b"SSH-2.0-OpenSSH_9.2p1\r\n")
CUT_OFF = {"Content-Length": "99", "Connection": "close"}


def take_token(port: int, _folder: Path) -> None:
    fetch_token(f"http://localhost:{port}", "secret")


def plant(port: int, folder: Path) -> None:
    ports: Any = SimpleNamespace(rekor2=port)
    LocalSigstore(folder=folder, profile=Profile.V2, ports=ports, identity="", email="").plant_first_entry()


@pytest.mark.parametrize(
    ("ask", "reply"),
    [
        (take_token, NO_HTTP),
        (take_token, Reply(headers=CUT_OFF, body=b'{"value"')),
        (take_token, told({})),
        (take_token, told(["value"])),
        (plant, NO_HTTP),
        (plant, Reply(status=500, headers=CUT_OFF, body=b"half")),
        (plant, Reply(status=500, body=b"\xff")),
    ],
)
def test_half_an_answer_is_trouble_outside(
    tmp_path: Path, ask: Callable[[int, Path], None], reply: Reply
) -> None:
    with (
        serving(lambda _: reply) as server,
        pytest.raises(OutsideError, match=r"Rekor took|the issuer") as caught,
    ):
        ask(int(server.host.rpartition(":")[2]), tmp_path)
    assert caught.value.again
    assert list(tmp_path.iterdir()) == []
