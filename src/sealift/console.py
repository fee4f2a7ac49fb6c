"""What people read while sealift works: words on stderr, results on stdout."""

from __future__ import annotations

import sys
import threading

_lock = threading.Lock()


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
