"""BuildKit's state lives in the cache, so that what it made in one run is there in the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from sealift.errors import OutsideError
from sealift.services.buildkit import buildkit, socket_of
from sealift.services.service import Service, SocketReady

MOST = 16


@dataclass(frozen=True, kw_only=True)
class Builder:
    """One daemon's folder, and the name that buildx knows it by."""

    folder: Path
    name: str

    @property
    def socket(self) -> Path:
        """Where the daemon listens."""
        return socket_of(self.folder)

    def service(self, *, log: Path) -> Service:
        """Return the daemon."""
        return buildkit(self.folder, log=log)


@contextmanager
def builder_slot(cache: Path) -> Iterator[Builder]:
    """Take the first state that no other run has; runs side by side have one each."""
    for number in range(MOST):
        folder = cache / "buildkit" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        with lock:
            # A kept daemon's run is over, and its lock with it; its socket still answers.
            if not SocketReady(socket_of(folder)).answers():
                yield Builder(folder=folder, name=f"sealift-{number}")
                return
    raise OutsideError(
        f"{MOST} rehearsals are running already", next_step="sealift rehearse stop, in their folders"
    )
