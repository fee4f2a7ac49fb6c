"""Files below a folder that another job may have written: they are reached one step at a time.

A link would lead out of the folder, a FIFO would wait for ever, and a device is no file: each is refused
where it is met. Hard links are let be: they give nobody a file that a copy would not, and every file is
replaced by rename, never written into.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sealift.errors import RefusedError
from sealift.model.names import Digest, RunPath

# No list of contents and no report of a service is as long.
MOST_BYTES = 64 * 1024**2
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Beneath:
    """One folder. Where it lies itself is its owner's matter: links that lead to it are followed."""

    root: Path

    def read(self, name: RunPath) -> bytes:
        """Return a file's bytes; raises FileNotFoundError, or RefusedError for what is no plain file."""
        with self._opened(name) as file:
            if (size := os.fstat(file).st_size) > MOST_BYTES:
                raise _refused(self.root / name, f"has {size} bytes, more than {MOST_BYTES}")
            with os.fdopen(os.dup(file), "rb") as stream:
                return stream.read()

    def digest(self, name: RunPath) -> Digest:
        """Hash a file without holding it whole."""
        with self._opened(name) as file, os.fdopen(os.dup(file), "rb") as stream:
            return Digest(f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}")

    def file(self, name: RunPath) -> Path:
        """Return the path of a plain file, for programs that open it themselves."""
        with self._opened(name):
            return self.root / name

    def exists(self, name: RunPath) -> bool:
        """Tell whether a plain file is there."""
        try:
            self.file(name)
        except FileNotFoundError:
            return False
        return True

    def publish(self, name: RunPath, data: bytes) -> None:
        """Write a file by rename, so nothing half-done has a name that looks finished."""
        *folders, last = name.split("/")
        with self._folder(folders, make=True) as at:
            temporary = f".{last}.{secrets.token_hex(8)}"
            try:
                with os.fdopen(os.open(temporary, _NEW, 0o600, dir_fd=at), "wb") as stream:
                    stream.write(data)
                    os.fchmod(stream.fileno(), 0o644)
                os.replace(temporary, last, src_dir_fd=at, dst_dir_fd=at)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=at)
                raise

    def take(self, source: Path, name: RunPath) -> Path:
        """Move a finished file or folder of ours to its place; what stood there is removed."""
        *folders, last = name.split("/")
        final = self.root / name
        with self._folder(folders, make=True) as at:
            if (kind := _kind(last, at)) == "a folder":
                shutil.rmtree(final)
            elif kind not in ("a file", "nothing"):
                os.unlink(last, dir_fd=at)
            os.replace(source, last, dst_dir_fd=at)
        return final

    def remove(self, name: RunPath) -> None:
        """Remove a file, or a link itself; nothing where nothing is."""
        *folders, last = name.split("/")
        with suppress(FileNotFoundError), self._folder(folders) as at:
            os.unlink(last, dir_fd=at)

    def names(self, folder: RunPath) -> tuple[str, ...]:
        """Name what lies directly in a folder, in order; nothing where it is missing."""
        with suppress(FileNotFoundError), self._folder(folder.split("/")) as at:
            return tuple(sorted(entry.name for entry in os.scandir(at)))
        return ()

    def folder(self, name: RunPath) -> Path:
        """Return the path of a folder in which there are plain files and folders alone."""
        with self._folder(name.split("/")):
            self.check(name)
            return self.root / name

    def check(self, name: str = "") -> None:
        """Refuse a folder that holds anything but plain files and folders, at any depth."""
        for at, folders, files in os.walk(self.root / name):
            for path in (Path(at, one) for one in (*folders, *files)):
                if (kind := _kind(path)) not in ("a file", "a folder"):
                    raise _refused(path, f"is {kind}")

    @contextmanager
    def _opened(self, name: RunPath) -> Iterator[int]:
        *folders, last = name.split("/")
        with self._folder(folders) as at:
            # Looked at before it is opened: to open a device may do something.
            kind = _kind(last, at)
            if kind == "nothing":
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.root / name))
            if kind != "a file":
                raise _refused(self.root / name, f"is {kind}")
            file = os.open(last, _FILE, dir_fd=at)
            try:
                yield file
            finally:
                os.close(file)

    @contextmanager
    def _folder(self, folders: list[str], *, make: bool = False) -> Iterator[int]:
        if make:
            self.root.mkdir(parents=True, exist_ok=True)
        at = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for depth, folder in enumerate(folders, 1):
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(folder, dir_fd=at)
                kind = _kind(folder, at)
                if kind not in ("a folder", "nothing"):
                    raise _refused(self.root.joinpath(*folders[:depth]), f"is {kind}")
                below = os.open(folder, _FOLDER, dir_fd=at)
                os.close(at)
                at = below
            yield at
        finally:
            os.close(at)


def _kind(name: str | Path, at: int | None = None) -> str:
    """Say what a name is itself, in a word for a message."""
    try:
        mode = os.stat(name, dir_fd=at, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return "nothing"
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def _refused(path: Path, why: str) -> RefusedError:
    return RefusedError(
        f"{path} {why}",
        means="a run folder holds plain files alone: this would be read or written elsewhere, or without end",
        next_step="find out who put it there, then remove it and release again",
    )
