"""What people read while sealift works: words on stderr, results on stdout."""

from __future__ import annotations

import codecs
import io
import sys
import threading

_lock = threading.Lock()


def write_every_character() -> None:
    """Let characters that a stream's encoding lacks be written as JSON escapes them, instead of an error."""
    codecs.register_error("sealift", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="sealift")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)), error.end


def say(message: str) -> None:
    """Write one line for people."""
    with _lock:
        sys.stderr.write(message + "\n")
        sys.stderr.flush()


def result(text: str) -> None:
    """Write one result for people and programs."""
    with _lock:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
