"""One run at a time: a lock that the kernel lets go of when its run is gone, however it went."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sealift.errors import OutsideError


@contextmanager
def one_at_a_time(file: Path, *, happened: str, means: str, next_step: str) -> Iterator[None]:
    """Hold a lock file, or raise OutsideError with these words at once where another run has it."""
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutsideError(happened, means=means, next_step=next_step) from error
    with lock:
        yield
