"""The end of the process: an error that can be acted on ends in words and a code, no other one is hidden."""

from __future__ import annotations

import errno
import signal

import pytest

from sealift import __main__ as end
from sealift import cli
from sealift.errors import RefusedError


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Leave the test's own signals alone."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
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


def test_what_nobody_foresaw_is_not_hidden(raising: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="odd"):
        play(raising, OSError(errno.EBADF, "odd"))
