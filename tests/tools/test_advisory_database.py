"""Fetching the Go team's advisories from a server in trouble: the old ones stay till then."""

from __future__ import annotations

import errno
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.tools import govulncheck
from tests.faults.machine import small_disk
from tests.tools.scripted import Reply, serving

pytestmark = pytest.mark.programs

INDEX = "index/modules.json"


def packed(data: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(INDEX, data)
    return held.getvalue()


GOOD = packed(b"[]" + b" " * 5000)
# The directory at the end names what the middle no longer holds.
CHANGED = GOOD.replace(GOOD[60:64], b"\xff\xff\xff\xff")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """Give one that was fetched before; whatever happens, nothing half-done may stay beside it."""
    folder = tmp_path / "advisories" / "go"
    (folder / "index").mkdir(parents=True)
    (folder / INDEX).write_text("of yesterday", encoding="utf-8")
    yield folder
    assert [path.name for path in folder.parent.iterdir()] == ["go"]


def fetch(monkeypatch: pytest.MonkeyPatch, folder: Path, reply: Reply) -> None:
    with serving(lambda _: reply) as server:
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(govulncheck, "WHOLE_DATABASE", f"http://{server.host}/vulndb.zip")
        govulncheck.download_database(folder)


def refusal(monkeypatch: pytest.MonkeyPatch, database: Path, reply: Reply) -> OutsideError:
    with pytest.raises(OutsideError, match="the Go advisory database could not be fetched") as caught:
        fetch(monkeypatch, database, reply)
    assert (database / INDEX).read_text(encoding="utf-8") == "of yesterday"
    return caught.value


def test_a_new_one_takes_the_place_of_the_old(monkeypatch: pytest.MonkeyPatch, database: Path) -> None:
    fetch(monkeypatch, database, Reply(body=GOOD))
    assert (database / INDEX).read_text(encoding="utf-8").strip() == "[]"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=GOOD[:100], headers={"Content-Length": str(len(GOOD))}),
        Reply(raw=b"HTTP/1.1 200 OK\r\n\r\n" + GOOD[:100]),
        Reply(raw=b"SSH-2.0-OpenSSH_9.2p1\r\n"),
        Reply(raw=b""),
        Reply(body=CHANGED),
        Reply(body=b"<html>sign in</html>"),
    ],
    ids=["cut off", "cut off without a length", "no HTTP", "nothing", "changed", "a page"],
)
def test_what_is_no_database_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, database: Path, reply: Reply
) -> None:
    assert refusal(monkeypatch, database, reply).again


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_no_is_taken_for_one(monkeypatch: pytest.MonkeyPatch, database: Path, status: int) -> None:
    refused = refusal(monkeypatch, database, Reply(status=status))
    assert (refused.again, refused.retry_after) == (False, None)


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_names_a_pause_gets_it(
    monkeypatch: pytest.MonkeyPatch, database: Path, status: int
) -> None:
    refused = refusal(monkeypatch, database, Reply(status=status, headers={"Retry-After": "7"}))
    assert (refused.again, refused.retry_after) == (True, 7.0)


def test_a_full_disk_is_not_the_servers_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    try:
        with small_disk(tmp_path / "disk", "64k") as disk:
            with pytest.raises(OSError, match="No space left") as caught:
                fetch(monkeypatch, disk.folder / "go", Reply(body=packed(b" " * 1_000_000)))
            assert list(disk.folder.iterdir()) == []
    except PermissionError as error:
        pytest.skip(str(error))
    assert caught.value.errno == errno.ENOSPC
