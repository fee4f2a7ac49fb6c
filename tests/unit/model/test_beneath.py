"""Files below a folder: plain ones are read and replaced, nothing else is followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.errors import RefusedError, UsageError
from sealift.model import beneath
from sealift.model.beneath import Beneath
from sealift.model.names import Digest, RunPath

NAME = RunPath("sbom/one.json")


@pytest.fixture
def folder(tmp_path: Path) -> Beneath:
    (tmp_path / "elsewhere").mkdir()
    return Beneath(tmp_path / "run")


def test_what_is_published_is_read_and_replaced(folder: Beneath) -> None:
    assert not folder.exists(NAME)
    with pytest.raises(FileNotFoundError):
        folder.read(NAME)
    for data in (b"one", b"another"):
        folder.publish(NAME, data)
        assert (folder.read(NAME), folder.digest(NAME)) == (data, Digest.of(data))
    assert folder.file(NAME).read_bytes() == b"another"
    assert folder.names(RunPath("sbom")) == ("one.json",)
    assert folder.names(RunPath("nothing")) == ()
    folder.remove(NAME)
    folder.remove(NAME)
    assert not folder.exists(NAME)


def test_the_folder_itself_may_be_reached_through_links(folder: Beneath, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder.root)
    folder.publish(NAME, b"one")
    assert Beneath(tmp_path / "link").read(NAME) == b"one"


def test_a_link_is_never_followed(folder: Beneath, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "one.json").write_bytes(b"a secret")
    folder.root.mkdir()
    (folder.root / "sbom").symlink_to(tmp_path / "elsewhere")
    for do in (
        lambda: folder.read(NAME),
        lambda: folder.digest(NAME),
        lambda: folder.file(NAME),
        lambda: folder.publish(NAME, b"x"),
        lambda: folder.remove(NAME),
        lambda: folder.names(RunPath("sbom")),
        lambda: folder.folder(RunPath("sbom")),
        lambda: folder.take(tmp_path / "elsewhere" / "one.json", NAME),
        folder.check,
    ):
        with pytest.raises(RefusedError, match="sbom is a link"):
            do()
    assert (tmp_path / "elsewhere" / "one.json").read_bytes() == b"a secret"


def test_a_link_in_a_files_place_is_replaced_and_not_written_through(folder: Beneath, tmp_path: Path) -> None:
    (secret := tmp_path / "elsewhere" / "secret").write_bytes(b"a secret")
    (unfinished := tmp_path / "unfinished").mkdir()
    for make in (lambda: folder.publish(NAME, b"one"), lambda: folder.take(unfinished, NAME)):
        folder.publish(NAME, b"x")
        folder.remove(NAME)
        (folder.root / NAME).symlink_to(secret)
        make()
        assert secret.read_bytes() == b"a secret"
        assert not (folder.root / NAME).is_symlink()
    assert (folder.root / NAME).is_dir()


def test_what_would_wait_or_has_no_end_is_no_file(folder: Beneath, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.publish(RunPath("sbom/other.json"), b"x")
    os.mkfifo(folder.root / NAME)
    with pytest.raises(RefusedError, match="is a FIFO"):
        folder.read(NAME)
    monkeypatch.setattr(beneath, "MOST_BYTES", 2)
    folder.publish(RunPath("sbom/long.json"), b"xxx")
    with pytest.raises(RefusedError, match="has 3 bytes, more than 2"):
        folder.read(RunPath("sbom/long.json"))


def test_what_is_taken_takes_the_place_of_what_was_there(folder: Beneath, tmp_path: Path) -> None:
    for content in ("old", "new"):
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / content).touch()
        folder.take(tmp_path / "made", RunPath("images/static"))
    assert [p.name for p in (folder.root / "images" / "static").iterdir()] == ["new"]
    assert folder.folder(RunPath("images")) == folder.root / "images"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/etc/passwd",
        "..",
        "../x",
        "a/../b",
        "a//b",
        "a/./b",
        "a/",
        "./a",
        "a\\b",
        "a\nb",
        "a\0b",
        "a" * 1025,
    ],
)
def test_a_path_that_leaves_the_folder_or_has_two_readings_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="is not a path below the run folder"):
        RunPath(text)


@pytest.mark.parametrize("text", ["plan.json", "dist/static/linux/amd64/a service", "sbom/..x.json", "ä/~b"])
def test_a_path_below_the_folder(text: str) -> None:
    assert RunPath(text) == text
