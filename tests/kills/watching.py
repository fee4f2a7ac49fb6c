"""Wait for a moment: for what a release says, or for what it has put outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from tests.kills.left import GONE_SECONDS

# Some windows are open for hundredths of a second.
_LOOK_EVERY = 0.001
_LONGEST = 600.0


class Lines:
    """Counts the lines that a release says, and tells when it has said so many."""

    def __init__(self, stream: IO[str]) -> None:
        self.said: list[str] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._over = False
        self._thread.start()

    def wait(self, count: int) -> None:
        """Wait for so many lines, or for the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or len(self.said) >= count, timeout=_LONGEST)

    def rest(self) -> str:
        """Return everything, after the end."""
        self._thread.join(GONE_SECONDS)
        return "".join(self.said)

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self.said.append(line)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


def wait_until(count: Callable[[], int], at_least: int, over: Callable[[], bool]) -> bool:
    """Wait until so many are counted, or for the end, and tell which; what is half written counts later."""
    deadline = time.monotonic() + _LONGEST
    while not over() and time.monotonic() < deadline:
        with suppress(ValueError, FileNotFoundError):
            if count() >= at_least:
                return True
        time.sleep(_LOOK_EVERY)
    return False
