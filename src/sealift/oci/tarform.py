"""A layer's tar in the one form that every reader understands alike.

tar has four dialects, and each reader follows another mix of them: a name may be overridden by an extension
header, cut at a NUL, or taken for a folder because of its last slash. So headers are read here byte by byte,
and only those are accepted that leave nothing to choose. ``plain`` is what Go's writer, and so BuildKit,
makes of a short name: ustar without extensions. Base images are packed with other programs, so GNU's long
names and a few harmless PAX records are accepted of them.

    for entry in read_entries(data, "layer 3 of the image", plain=True): ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from mmap import mmap

from sealift.errors import RefusedError

BLOCK = 512
# Where a tar ends: two blocks of zeros, which some writers round up to a record of 20.
END = 2 * BLOCK
MAX_PADDING = 64 * 1024
MAX_ENTRIES = 100_000
MAX_EXTENSION = 64 * 1024
USTAR, GNU = b"ustar\x0000", b"ustar  \x00"

KINDS: Mapping[bytes, str] = {
    b"0": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "char",
    b"4": "block",
    b"5": "dir",
    b"6": "fifo",
}
# What a record of an extension header may set: times are no part of what is compared, and names are read.
HARMLESS = frozenset(["path", "linkpath", "mtime", "atime", "ctime", "LIBARCHIVE.creationtime"])
WHITEOUT = ".wh."


@dataclass(frozen=True, kw_only=True)
class TarEntry:
    """One entry; ``path`` is as it was written, ``steps`` its parts."""

    path: str
    steps: tuple[str, ...]
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    target: str
    owner: str
    group: str


@dataclass
class _Extensions:
    """What the headers before an entry said of it."""

    path: str | None = None
    target: str | None = None
    names: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Tar:
    data: bytes | mmap
    name: str
    plain: bool

    def entries(self) -> Iterator[TarEntry]:
        """Yield the entries, and look at every byte that is not a file's content."""
        at, size = 0, len(self.data)
        if size % BLOCK:
            raise self.refused(f"has {size} bytes, which is no number of whole blocks")
        extensions = _Extensions()
        while True:
            header = self.data[at : at + BLOCK]
            if len(header) < BLOCK:
                raise self.refused("has no end")
            if not any(header):
                break
            flag = header[156:157]
            self._check_header(header, flag, at)
            length = self._octal(header[124:136], "size", at)
            content = at + BLOCK
            at = content + -(-length // BLOCK) * BLOCK
            if at > size:
                raise self.refused(f"holds an entry of {length} bytes, more than are there")
            if flag in b"xLK" and not self.plain:
                self._extend(extensions, flag, self._bytes(content, length))
                continue
            if any(self.data[content + length : at]):
                raise self.refused(f"has bytes between two entries, before byte {at}")
            yield self._entry(header, flag, length, extensions, content)
            extensions = _Extensions()
        if extensions != _Extensions():
            raise self.refused("ends with an extension header, which nothing follows")
        self._check_end(at)

    def refused(self, why: str) -> RefusedError:
        return RefusedError(
            f"{self.name} {why}",
            means="engines could unpack it in different ways",
            next_step="build or fetch the image again",
        )

    def _check_end(self, at: int) -> None:
        rest = len(self.data) - at
        if rest < END or (rest > END if self.plain else rest > MAX_PADDING):
            raise self.refused(f"ends with {rest} bytes after its last entry")
        if any(self.data[at:]):
            raise self.refused(f"goes on after its end at byte {at}")

    def _check_header(self, header: bytes, flag: bytes, at: int) -> None:
        written = header[148:156]
        total = sum(header) - sum(written) + 8 * 0x20
        if written not in (b"%06o\0 " % total, b"%07o\0" % total):
            raise self.refused(f"has a header at byte {at} whose sum is wrong, or written in another way")
        magic = header[257:265]
        if magic != USTAR and (self.plain or magic != GNU):
            raise self.refused(f"has a header at byte {at} of another format: {magic!r}")
        if flag not in KINDS and (self.plain or flag not in (b"x", b"L", b"K")):
            raise self.refused(f"has an entry at byte {at} of the type {flag!r}")
        # GNU has two times here, which nothing needs, and its sparse maps, which nothing may have.
        if magic == GNU and any(header[345:]):
            raise self.refused(f"has a header at byte {at} with more of GNU than a name")
        if any(header[500:]):
            raise self.refused(f"has bytes after its header at byte {at}")

    def _entry(self, header: bytes, flag: bytes, length: int, extensions: _Extensions, at: int) -> TarEntry:
        kind = KINDS[flag]
        short = self._text(header[0:100], "name")
        prefix = "" if header[257:265] == GNU else self._text(header[345:500], "prefix")
        path = extensions.path if extensions.path is not None else (f"{prefix}/{short}" if prefix else short)
        target = self._text(header[157:257], "target") if extensions.target is None else extensions.target
        if length and kind != "file":
            raise self.refused(f"gives {path!r}, a {kind}, {length} bytes")
        if (kind in ("symlink", "hardlink")) != bool(target):
            raise self.refused(f"gives {path!r}, a {kind}, the target {target!r}")
        return TarEntry(
            path=path,
            steps=self._steps(path, kind),
            kind=kind,
            mode=self._octal(header[100:108], "mode", at),
            uid=self._octal(header[108:116], "uid", at),
            gid=self._octal(header[116:124], "gid", at),
            size=length,
            mtime=self._octal(header[136:148], "time", at),
            target=target,
            owner=self._text(header[265:297], "owner"),
            group=self._text(header[297:329], "group"),
        )

    def _steps(self, path: str, kind: str) -> tuple[str, ...]:
        """Split a path that can be read in one way only."""
        inner = path.removeprefix("./") if not self.plain else path
        if kind == "dir":
            inner = inner.removesuffix("/")
        steps = tuple(inner.split("/")) if inner not in ("", ".") else ()
        if not steps and (kind != "dir" or path not in ("./", ".")):
            raise self.refused(f"holds the path {path!r}, a {kind}")
        odd = [step for step in steps if step in ("", ".", "..") or not step.isprintable() or "\\" in step]
        if odd:
            raise self.refused(f"holds the path {path!r}, which is not in its one plain form")
        if any(step.startswith(WHITEOUT) for step in steps):
            raise self.refused(f"holds {path!r}, which hides or marks files instead of adding any")
        return steps

    def _extend(self, extensions: _Extensions, flag: bytes, content: bytes) -> None:
        records = dict(self._records(content)) if flag == b"x" else {}
        if flag != b"x":
            if content[-1:] != b"\0" or not content[:-1] or b"\0" in content[:-1]:
                raise self.refused(f"has a long name that does not end where it says: {content[:40]!r}")
            records = {"path" if flag == b"L" else "linkpath": self._decoded(content[:-1])}
        for key, value in records.items():
            if key not in HARMLESS:
                raise self.refused(f"has an extension header with {key!r}")
            if key in extensions.names or not value:
                raise self.refused(f"has an extension header with {key!r} twice or empty")
            extensions.names.add(key)
            if key == "path":
                extensions.path = value
            elif key == "linkpath":
                extensions.target = value

    def _records(self, content: bytes) -> Iterator[tuple[str, str]]:
        seen = set()
        while content:
            digits, space, _ = content.partition(b" ")
            if not space or not digits.isdigit() or len(digits) > 5 or digits.startswith(b"0"):  # noqa: PLR2004
                raise self.refused(f"has an extension header without a length: {content[:40]!r}")
            record, content = content[: int(digits)], content[int(digits) :]
            key, equal, value = record[len(digits) + 1 : -1].partition(b"=")
            if len(record) != int(digits) or record[-1:] != b"\n" or not equal or b"\0" in record:
                raise self.refused(f"has a damaged extension header: {record[:40]!r}")
            if key in seen:
                raise self.refused(f"has an extension header with {key!r} twice or empty")
            seen.add(key)
            yield self._decoded(key), self._decoded(value)

    def _bytes(self, at: int, length: int) -> bytes:
        if not 0 < length <= MAX_EXTENSION:
            raise self.refused(f"has an extension header of {length} bytes")
        return self.data[at : at + length]

    def _octal(self, raw: bytes, what: str, at: int) -> int:
        digits = raw.rstrip(b"\0 ")
        if not digits or digits.strip(b"01234567") or b" " in digits:
            raise self.refused(f"has a {what} at byte {at} that is not written in octal: {raw!r}")
        return int(digits, 8)

    def _text(self, raw: bytes, what: str) -> str:
        text, _, rest = raw.partition(b"\0")
        if any(rest):
            raise self.refused(f"hides bytes behind the end of a {what}: {raw.rstrip(bytes(1))!r}")
        return self._decoded(text)

    def _decoded(self, raw: bytes) -> str:
        try:
            return raw.decode()
        except UnicodeDecodeError as err:
            raise self.refused(f"holds a name that is not UTF-8: {raw!r}") from err


def read_entries(data: bytes | mmap, name: str, *, plain: bool) -> list[TarEntry]:
    """Read every entry; raises RefusedError at the first that could be read in two ways."""
    tar = _Tar(data, name, plain)
    found: list[TarEntry] = []
    files: dict[tuple[str, ...], TarEntry] = {}
    folders: set[tuple[str, ...]] = set()
    for entry in tar.entries():
        if entry.steps in files:
            raise tar.refused(f"holds {entry.path!r} twice")
        if entry.kind == "hardlink":
            target = entry.target.removeprefix("./").lstrip("/") if not plain else entry.target
            named = files.get(tuple(target.split("/")))
            if named is None or named.kind != "file":
                raise tar.refused(f"links {entry.path!r} to {entry.target!r}, which is no file before it")
            # Engines give the link's rights to the file, other readers do not.
            if (entry.mode, entry.uid, entry.gid) != (named.mode, named.uid, named.gid):
                raise tar.refused(f"links {entry.path!r} to {entry.target!r} with other rights than it has")
        above = [entry.steps[:length] for length in range(1, len(entry.steps))]
        # In either order: engines replace the one by the other, or give up.
        odd = next((f for f in above if f in files and files[f].kind != "dir"), None)
        if odd is None and entry.kind != "dir" and entry.steps in folders:
            odd = entry.steps
        if odd is not None:
            raise tar.refused(f"holds paths below {'/'.join(odd)!r}, which is no folder")
        folders.update(above)
        files[entry.steps] = entry
        found.append(entry)
        if len(found) > MAX_ENTRIES:
            raise tar.refused(f"holds more than {MAX_ENTRIES} entries")
    return found


def hidden(linked: Iterable[tuple[str, ...]], entries: Sequence[TarEntry]) -> Iterator[str]:
    """Yield the files of lower layers that have other names, and that a layer takes the place of.

    Who puts all layers into one tar makes the other names hard links to what lies there now.
    """
    for steps in linked:
        places = [steps[:length] for length in range(1, len(steps) + 1)]
        if any(e.steps == steps or (e.kind != "dir" and e.steps in places) for e in entries):
            yield f"/{'/'.join(steps)}"
