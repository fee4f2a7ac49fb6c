from __future__ import annotations

from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.model.names import Platform
from sealift.provision.lock import Lock, key_of
from sealift.provision.recipe import CI, all_names

HASH = "ab" * 32


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "tools.lock"
    lock = Lock().having("trivy", "linux/amd64 go1.26.8", HASH).having("crane", "linux/arm64 go1.26.8", HASH)
    lock.write(path)
    assert Lock.read(path) == lock
    assert path.read_text().startswith("# ")
    assert [p.name for p in tmp_path.iterdir()] == ["tools.lock"]


def test_one_hash_is_added_beside_others() -> None:
    lock = Lock().having("crane", "a", HASH).having("crane", "b", "cd" * 32)
    assert (lock.get("crane", "a"), lock.get("crane", "b"), lock.get("crane", "c")) == (HASH, "cd" * 32, None)


def test_no_file_is_an_empty_lock(tmp_path: Path) -> None:
    assert Lock.read(tmp_path / "none") == Lock()


@pytest.mark.parametrize(
    "text",
    [
        "crane: {linux/amd64 go1.26.8: abcd}",
        "crane: [",
        "- crane",
        f"crane: {HASH}",
        f"crane: {{k: {HASH.upper()}}}",
    ],
)
def test_a_lock_that_cannot_be_read_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tools.lock"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"tools\.lock is not a lock"):
        Lock.read(path)


def test_the_key_names_platform_and_go() -> None:
    assert key_of(Platform("linux/arm64"), "1.26.8") == "linux/arm64 go1.26.8"


def test_the_committed_lock_knows_every_program() -> None:
    lock = Lock.read(CI / "tools.lock")
    assert [n for n in all_names() if lock.get(n, "linux/amd64 go1.26.8") is None] == []
    assert set(lock.hashes) - set(all_names()) <= {"go"}
