"""What people read while sealift works: words on stderr, results on stdout.

Whatever is written may hold text from outside, so all of it is written as ``texts.shown`` gives it.
"""

from __future__ import annotations

import codecs
import io
import sys
import threading
from typing import TextIO

from sealift import texts

_lock = threading.Lock()


def write_every_character() -> None:
    """Let characters that a stream's encoding lacks be written as JSON escapes them, instead of an error."""
    codecs.register_error("sealift", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="sealift")


def take_over() -> None:
    """Show as text what others write, too: Python of a defect, the command line of its words, a library."""
    sys.stderr = Shown(sys.stderr)


class Shown(io.TextIOBase):
    """A stream onto another one, on which every text is only shown."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text as it is shown."""
        self._stream.write(texts.shown(text))
        return len(text)

    def flush(self) -> None:
        """Flush what is below."""
        self._stream.flush()

    def fileno(self) -> int:
        """Return the descriptor of what is below."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Tell whether a terminal is below."""
        return self._stream.isatty()


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return texts.escape(error.object[error.start : error.end]), error.end


def say(message: str) -> None:
    """Write one line for people."""
    with _lock:
        sys.stderr.write(texts.shown(message) + "\n")
        sys.stderr.flush()


def result(text: str) -> None:
    """Write one result for people and programs."""
    with _lock:
        sys.stdout.write(texts.shown(text) + "\n")
        sys.stdout.flush()
