"""The folder for what is made once: hashes, locks between processes, and clean-up.

A killed run leaves files in ``work/NAME``, which its next user empties first, or beside what it was writing
under a name that nobody reads.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from sealift.errors import UsageError
from sealift.places import readable


def cache_folder() -> Path:
    """Return ``$SEALIFT_CACHE``, or ``~/.cache/sealift``."""
    chosen = os.environ.get("SEALIFT_CACHE")
    folder = Path(chosen).absolute() if chosen else Path.home() / ".cache" / "sealift"
    return readable(folder, "the cache (SEALIFT_CACHE)", on_path=True)


def sha256_of(path: Path) -> str:
    """Hash a file: 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_sha256(folder: Path) -> str:
    """Hash a folder's files, each with its name and whether it may be run."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if not p.is_dir()):
        kind = "link" if path.is_symlink() else "run" if os.access(path, os.X_OK) else "file"
        content = str(path.readlink()) if path.is_symlink() else sha256_of(path)
        whole.update(f"{path.relative_to(folder)}\0{kind}\0{content}\n".encode())
    return whole.hexdigest()


@contextmanager
def workspace(cache: Path, name: str) -> Iterator[Path]:
    """Give an empty folder to one process at a time, and remove it afterwards."""
    with _emptied(cache, name, _take(cache / "locks" / f"{name}.lock")) as folder:
        yield folder


@contextmanager
def workspace_if_free(cache: Path, name: str) -> Iterator[Path | None]:
    """Give such a folder, or None where another process has it."""
    try:
        lock = _take(cache / "locks" / f"{name}.lock", timeout=0)
    except filelock.Timeout:
        yield None
        return
    with _emptied(cache, name, lock) as folder:
        yield folder


@contextmanager
def _emptied(cache: Path, name: str, lock: filelock.BaseFileLock) -> Iterator[Path]:
    works = cache / "work" / name
    try:
        shutil.rmtree(works, ignore_errors=True)
        works.mkdir(parents=True, exist_ok=True)
        # A new name each time: what a killed run left running may still write into its own folder.
        yield Path(tempfile.mkdtemp(dir=works))
    finally:
        try:
            remove_tree(works)
        finally:
            lock.release()


def _take(path: Path, timeout: float = -1) -> filelock.BaseFileLock:
    lock = filelock.FileLock(path, timeout=timeout)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except filelock.Timeout:
        # An OSError as well, but no trouble with the folder.
        raise
    except OSError as error:
        raise UsageError(
            f"the cache {path.parents[1]} cannot be written: {error.strerror}",
            next_step="export SEALIFT_CACHE=FOLDER, one that you may write",
        ) from error
    return lock


def remove_tree(folder: Path) -> None:
    """Remove a folder, also one that Go's module cache made read-only; none is no error."""
    if not folder.exists():
        return
    try:
        shutil.rmtree(folder)
    except PermissionError:
        for inside in [folder, *(p for p in folder.rglob("*") if p.is_dir() and not p.is_symlink())]:
            inside.chmod(0o700)
        shutil.rmtree(folder)
