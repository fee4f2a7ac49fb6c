"""One layer of an image: its tar, taken apart and checked to its last byte."""

from __future__ import annotations

import gzip
import importlib
import mmap
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from sealift.errors import RefusedError, UsageError
from sealift.model.names import Digest

Kind = Literal["file", "dir", "symlink", "char", "block", "fifo"]
Steps = tuple[str, ...]

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the tar: where it goes, what it is, and where its bytes lie.

    ``target`` is what a symlink holds, or the path in the image that a hard link is another name of.
    """

    steps: Steps
    kind: Kind | Literal["hardlink"]
    mode: int
    uid: int
    gid: int
    size: int
    offset: int
    target: str


@dataclass(frozen=True, eq=False)
class Content:
    """What is in a layer; ``diff_id`` is the hash of its tar, by which a configuration names the layer."""

    data: mmap.mmap
    members: tuple[Member, ...]
    diff_id: Digest


@dataclass(frozen=True)
class Layer:
    """An unpacked layer; ``name`` is for messages."""

    name: str
    content: Content


# A release reads the same layers of its bases a dozen times.
MOST_KNOWN = 64
_known: dict[Digest, Content] = {}
_knowing = threading.Lock()


def read_layer(blob: bytes, name: str) -> Layer:
    """Take a layer apart, which may be plain, gzip, or zstd where this Python can read it.

    One with the same bytes as a layer that was read before is not taken apart again.
    """
    digest = Digest.of(blob)
    if (content := _known.get(digest)) is None:
        data, diff_id = _spool(_unpack(blob, name), name)
        content = Content(data, _members(data, name), diff_id)
        # Else all that was looked at to take it apart would count as ours until the end.
        data.madvise(mmap.MADV_DONTNEED)
        with _knowing:
            while len(_known) >= MOST_KNOWN:
                del _known[next(iter(_known))]
            _known[digest] = content
    return Layer(name, content)


def _spool(data: bytes, name: str) -> tuple[mmap.mmap, Digest]:
    """Put bytes into a file that has no name: they take memory only where they are looked at."""
    if not data:
        raise _damaged(name, "it is empty")
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), Digest.of(data)


def _members(data: mmap.mmap, name: str) -> tuple[Member, ...]:
    try:
        with tarfile.open(fileobj=data, mode="r:") as tar:
            members = tuple(_member(info, name) for info in tar)
            end = tar.offset
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as err:
        raise _damaged(name, str(err)) from err
    # tarfile takes a header that it cannot read for the end; an engine might read on.
    if data[end:].strip(b"\0"):
        raise _damaged(name, f"it goes on after its end at byte {end}")
    return members


def steps_of(path: str, name: str) -> Steps:
    """Split a path of a layer; one that climbs is refused."""
    steps = tuple(step for step in path.split("/") if step not in ("", "."))
    if ".." in steps:
        raise RefusedError(
            f"{name} holds the path {path!r}",
            means="with .. in it, it could be written outside the image",
            next_step="build the image without it",
        )
    return steps


def _unpack(blob: bytes, name: str) -> bytes:
    try:
        if blob.startswith(GZIP):
            return gzip.decompress(blob)
        if blob.startswith(ZSTD):
            return _unzstd(blob, name)
    except (OSError, EOFError, zlib.error) as err:
        raise _damaged(name, str(err)) from err
    return blob


def _unzstd(blob: bytes, name: str) -> bytes:
    try:
        zstd = importlib.import_module("compression.zstd")
    except ImportError as err:
        raise UsageError(
            f"{name} is compressed with zstd, which Python reads from 3.14 on",
            next_step="build the image with compression=gzip, or run sealift with Python 3.14",
        ) from err
    try:
        return bytes(zstd.decompress(blob))
    except zstd.ZstdError as err:
        raise _damaged(name, str(err)) from err


def _member(info: tarfile.TarInfo, name: str) -> Member:
    kind = next((kind for kind, applies in _kinds(info) if applies), None)
    if kind is None or info.issparse():
        raise UsageError(f"{name} holds {info.name!r} of a type that sealift does not know: {info.type!r}")
    return Member(
        steps=steps_of(info.name, name),
        kind=kind,
        mode=info.mode & 0o7777,
        uid=info.uid,
        gid=info.gid,
        size=info.size if kind == "file" else 0,
        offset=info.offset_data,
        target=info.linkname,
    )


def _kinds(info: tarfile.TarInfo) -> Iterator[tuple[Kind | Literal["hardlink"], bool]]:
    yield "file", info.isreg()
    yield "dir", info.isdir()
    yield "symlink", info.issym()
    yield "hardlink", info.islnk()
    yield "char", info.ischr()
    yield "block", info.isblk()
    yield "fifo", info.isfifo()


def _damaged(name: str, why: str) -> RefusedError:
    return RefusedError(
        f"{name} is not a whole tar: {why}",
        means="it is damaged, or was made to be read in two ways",
        next_step="build or fetch the image again",
    )
