"""What people read while sealift works: words on stderr, results on stdout.

Whatever is written may hold text from outside, so all of it is written as ``texts.shown`` gives it.
"""

from __future__ import annotations

import codecs
import io
import logging
import sys
import threading
import traceback
from types import TracebackType

from sealift import texts

_lock = threading.Lock()


def write_every_character() -> None:
    """Let characters that a stream's encoding lacks be written as JSON escapes them, instead of an error."""
    codecs.register_error("sealift", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="sealift")


def take_over() -> None:
    """Write what Python itself would write, of a defect or a library's warning, as all else is written."""
    sys.excepthook = _defect
    logging.lastResort = _Said(logging.WARNING)


def _defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    say("".join(traceback.format_exception(kind, error, trace)).rstrip("\n"))


class _Said(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))


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
