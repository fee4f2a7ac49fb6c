"""One layer of an image: its tar, taken apart and checked to its last byte."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import mmap
import re
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
# No layer of a service unpacks to more. Real layers shrink to a tenth, gzip could shrink to a thousandth.
MAX_UNPACKED = 4 * 1024**3
MAX_RATIO, RATIO_COUNTS_FROM = 200, 64 * 1024**2
MAX_MEMBERS = 500_000
MAX_EXTENSION = 1024**2
_CHUNK = 1024**2
_ZEROS = re.compile(rb"\0*")


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
    """What is in a layer; ``diff_id`` is the hash of its tar, by which a configuration names the layer.

    ``wrapping`` says in what it differs from one gzip stream and nothing else; nothing where it does not.
    """

    data: mmap.mmap
    members: tuple[Member, ...]
    diff_id: Digest
    wrapping: str


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
        unpacked = _Unpacked(blob, name)
        data, diff_id = _spool(unpacked.chunks(), name)
        content = Content(data, _members(data, name), diff_id, unpacked.wrapping)
        # Else all that was looked at to take it apart would count as ours until the end.
        data.madvise(mmap.MADV_DONTNEED)
        with _knowing:
            while len(_known) >= MOST_KNOWN:
                del _known[next(iter(_known))]
            _known[digest] = content
    return Layer(name, content)


def _spool(chunks: Iterator[bytes], name: str) -> tuple[mmap.mmap, Digest]:
    """Put bytes into a file that has no name: they take memory only where they are looked at."""
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
        if not file.tell():
            raise _damaged(name, "it is empty")
        file.flush()
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return data, Digest(f"sha256:{digest.hexdigest()}")


class _Headers:
    """A tar for a reader of headers: contents are passed over, so nothing large is ever asked for."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.seek, self.tell = data.seek, data.tell

    def read(self, size: int = -1) -> bytes:
        """Read a header, or what extends one."""
        if not 0 <= size <= MAX_EXTENSION:
            raise tarfile.ReadError(f"an extension header of {size} bytes")
        return self._data.read(size)


def _members(data: mmap.mmap, name: str) -> tuple[Member, ...]:
    try:
        with tarfile.open(fileobj=_Headers(data), mode="r:") as tar:  # type: ignore[call-overload]
            members = tuple(itertools.islice(_walk(tar, name), MAX_MEMBERS + 1))
            end = tar.offset
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as err:
        raise _damaged(name, str(err)) from err
    if len(members) > MAX_MEMBERS:
        raise _too_large(name, f"more than {MAX_MEMBERS} entries")
    # tarfile takes a header that it cannot read for the end; an engine might read on.
    if any(data[at : at + _CHUNK].strip(b"\0") for at in range(end, len(data), _CHUNK)):
        raise _damaged(name, f"it goes on after its end at byte {end}")
    return members


def _walk(tar: tarfile.TarFile, name: str) -> Iterator[Member]:
    while (info := tar.next()) is not None:
        # It would keep all of them, and each takes a kilobyte.
        tar.members.clear()  # type: ignore[attr-defined]
        yield _member(info, name)


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


class _Unpacked:
    """A blob on its way to a tar: bounded in size, and with a note of how it was wrapped."""

    def __init__(self, blob: bytes, name: str) -> None:
        self._blob = blob
        self._name = name
        self._limit = min(MAX_UNPACKED, max(RATIO_COUNTS_FROM, MAX_RATIO * len(blob)))
        self.wrapping = ""

    def chunks(self) -> Iterator[bytes]:
        """Yield the tar; raises RefusedError where there is more of it than a layer holds."""
        total = 0
        try:
            for chunk in self._unwrapped():
                total += len(chunk)
                if total > self._limit:
                    raise _too_large(self._name, f"more than {self._limit} bytes, from {len(self._blob)}")
                yield chunk
        except (EOFError, zlib.error) as err:
            raise _damaged(self._name, str(err)) from err

    def _unwrapped(self) -> Iterator[bytes]:
        if self._blob.startswith(GZIP):
            yield from self._gunzipped()
        elif self._blob.startswith(ZSTD):
            self.wrapping = "zstd, not gzip"
            yield _unzstd(self._blob, self._name)
        else:
            self.wrapping = "not compressed"
            yield self._blob

    def _gunzipped(self) -> Iterator[bytes]:
        view, at, parts = memoryview(self._blob), 0, 0
        while at < len(view):
            if view[at : at + 2] != GZIP:
                raise zlib.error(f"the {len(view) - at} bytes after the gzip stream are none")
            stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            parts += 1
            while not stream.eof:
                piece = stream.unconsumed_tail or view[at : at + _CHUNK]
                at += 0 if stream.unconsumed_tail else len(piece)
                chunk = stream.decompress(piece, _CHUNK)
                if not (chunk or piece or stream.eof):
                    raise EOFError("the gzip stream ends too early")
                yield chunk
            at -= len(stream.unused_data)
            # Some readers pass over zeros, some stop with an error, some read another stream behind them.
            if zeros := len(_ZEROS.match(self._blob, at)[0]):  # type: ignore[index]
                self.wrapping = f"gzip with {zeros} zeros behind it"
                at += zeros
        if parts > 1:
            self.wrapping = f"{parts} gzip streams, not one"


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


def _too_large(name: str, what: str) -> RefusedError:
    return RefusedError(
        f"{name} unpacks to {what}",
        means="it is larger than any image of a service, and made to fill memory or disk",
        next_step="build or fetch the image again",
    )


def _damaged(name: str, why: str) -> RefusedError:
    return RefusedError(
        f"{name} is not a whole tar: {why}",
        means="it is damaged, or was made to be read in two ways",
        next_step="build or fetch the image again",
    )
