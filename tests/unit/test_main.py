"""The end of the process: an error that can be acted on ends in words and a code, no other one is hidden."""

from __future__ import annotations

import errno
import shutil
import signal
from pathlib import Path

import pytest

from sealift import __main__ as end
from sealift import cli, console
from sealift.errors import ManyErrors, RefusedError, UsageError


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Leave the test's own signals alone."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(end, "_isolate", lambda: None)
    monkeypatch.setattr(console, "take_over", lambda: None)
    return monkeypatch


def play(raising: pytest.MonkeyPatch, error: Exception) -> None:
    def app(**_: object) -> None:
        raise error

    raising.setattr(cli, "app", app)
    end.main()


def test_an_error_of_ours_ends_with_its_code(
    raising: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        play(raising, RefusedError("no"))
    assert caught.value.code == 3
    assert capsys.readouterr().err == "sealift: no\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_ends_with_words_and_the_code_for_trying_again(
    raising: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    with pytest.raises(SystemExit) as caught:
        play(raising, OSError(number, "No room", "/build/plan.json"))
    assert caught.value.code == 4
    said = capsys.readouterr().err
    assert said.startswith("sealift: /build/plan.json could not be written: No room\n")
    assert "next: make room" in said


def copied(folder: Path, to: str) -> shutil.Error:
    """Copy a tree with one good file, and one that comes to lie where ``to`` leads."""
    (folder / "from" / "deep").mkdir(parents=True)
    (folder / "from" / "good").write_text("good")
    (folder / "from" / "deep" / "file").write_text("bytes")
    (folder / "copy" / "deep").mkdir(parents=True)
    (folder / "copy" / "deep" / "file").symlink_to(to)
    with pytest.raises(shutil.Error) as caught:
        shutil.copytree(folder / "from", folder / "copy", dirs_exist_ok=True)
    return caught.value


def test_a_disk_that_is_full_while_a_tree_is_copied_ends_as_a_full_disk(
    raising: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as caught:
        play(raising, copied(tmp_path, "/dev/full"))
    assert caught.value.code == 4
    said = capsys.readouterr().err
    assert said.startswith(f"sealift: {tmp_path}/copy/deep/file could not be written: No space left")
    assert "next: make room" in said


def test_a_tree_that_cannot_be_copied_for_another_reason_is_not_hidden(
    raising: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(shutil.Error, match="No such file"):
        play(raising, copied(tmp_path, "/nowhere/at/all"))


def test_what_nobody_foresaw_is_not_hidden(raising: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="odd"):
        play(raising, OSError(errno.EBADF, "odd"))


def test_the_same_failure_of_several_nodes_is_told_once() -> None:
    many = ManyErrors([UsageError("x.go:3: undefined"), UsageError("x.go:3: undefined"), UsageError("other")])
    assert str(many) == "x.go:3: undefined\nother"
    assert len(many.errors) == 3
    errors = [UsageError("no connection"), UsageError("no connection")]
    for number, error in enumerate(errors):
        error.add_note(f"tried {number} times")
    assert str(ManyErrors(list(errors))) == "no connection\n  tried 0 times"
