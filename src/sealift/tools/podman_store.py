"""podman's store in the cache, which keeps base images unpacked: it is used as this user's last run left it.

with kept_store(cache / "podman") as store:
    store.check()
    engine = find(locks, store=store.folder)

podman compares nothing that it has unpacked. To read it all would take as long as to unpack it again, so what
is recorded of each file is when it was changed, by a clock that nobody but root can set back.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sealift import process, records
from sealift.console import say
from sealift.errors import MissingProgramError, SealiftError
from sealift.places import ours_alone, plain, shell_word
from sealift.tools.engine import LONGEST_STORE

_NAME = "podman's store"
# What podman reads of the images that it keeps; the rest is of containers.
_PARTS = ("overlay", "overlay-images", "overlay-layers")


@dataclass
class KeptStore:
    """The store of all runs; the first that uses it compares it, and the last one records it."""

    folder: Path
    lock: IO[bytes]
    checked: bool = False

    @property
    def _record(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.record")

    def check(self) -> None:
        """Empty the store unless nothing in it was changed since it was recorded."""
        if self._alone():
            known = records.read(self._record, _NAME)
            # A run that is killed leaves no record, and its store is not used again.
            self._record.unlink(missing_ok=True)
            if not ours_alone(self.folder) or known != _state(self.folder):
                if known is not None:
                    say(f"podman's store {shell_word(self.folder)} was changed: unpacking images again")
                _empty(self.folder)
        self.checked = True
        fcntl.flock(self.lock, fcntl.LOCK_SH)

    def note(self) -> None:
        """Record the store as it is now, unless another run uses it."""
        # Where that fails, the next run begins with an empty one.
        with suppress(SealiftError, OSError):
            if self.checked and self._alone():
                records.write(self._record, _NAME, _state(self.folder))

    def _alone(self) -> bool:
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def kept_store(folder: Path) -> Iterator[KeptStore]:
    """Use the store in a folder; it is recorded after the block."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.lstat().st_uid == os.getuid():
        folder.chmod(0o700)
    with folder.with_name(f"{folder.name}.lock").open("wb") as lock:
        store = KeptStore(folder, lock)
        try:
            yield store
        finally:
            store.note()


def _state(store: Path) -> bytes:
    """Hash names, kinds, owners, sizes and times of all that podman keeps of images."""
    there = [str(store / "storage" / part) for part in _PARTS]
    listed = _as_root("find", *there, "-name", "*.lock", "-o", "-printf", r"%p\0%i %m %U %G %s %T@ %C@ %l\0")
    kept = sorted(path.name for path in (store / "kept").glob("*"))
    return hashlib.sha256("\0".join((*sorted(listed.split("\0")), *kept)).encode()).hexdigest().encode()


def _empty(store: Path) -> None:
    """Remove the store, with containers that a run left which was killed."""
    if (store / "storage").exists():
        near = plain(store, longest=LONGEST_STORE)
        options = (f"--root={near / 'storage'}", f"--runroot={near / 'run'}", "--runtime=runc")
        _as_root("podman", *options, "--cgroup-manager=cgroupfs", "rm", "--all", "--force", "--time=0")
    _as_root("rm", "-rf", "--one-file-system", *(str(store / name) for name in ("storage", "run", "kept")))


def _as_root(*words: str) -> str:
    argv = words if os.geteuid() == 0 else ("sudo", "-n", *words)
    try:
        return process.run(argv, check=False, timeout=120).stdout
    except MissingProgramError:
        # Without sudo, or without podman, there is no store: images are started by docker.
        return ""
