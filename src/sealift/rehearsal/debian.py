"""Read Debian's packages and its ``Field: value`` paragraphs.

deb = Deb.read(Path("libc6_2.36-9+deb12u14_amd64.deb"))
with deb.files() as files:
print(deb.name, deb.version, files.getnames())
"""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sealift.errors import DefectError, OutsideError
from sealift.places import shell_word

# Bytes of a package, and of what it unpacks to; the largest that is read has 3 MB, and 13 unpacked.
MOST_PACKED, MOST_UNPACKED = 64 << 20, 128 << 20


@dataclass(frozen=True, kw_only=True)
class Deb:
    """One binary package: its control file as it is, and its files."""

    path: Path
    sha256: str
    control: bytes
    md5sums: bytes | None
    packed: bytes

    @classmethod
    def read(cls, path: Path) -> Deb:
        """Read a .deb; its files stay packed until they are asked for."""
        if path.stat().st_size > MOST_PACKED:
            raise _broken(path, f"it has more than {MOST_PACKED >> 20} MiB")
        raw = path.read_bytes()
        members = dict(_members(raw, path))
        with _unpack(_part(members, "control.tar", path), path) as control:
            found = {m.name.removeprefix("./"): m for m in control.getmembers() if m.isreg()}
            texts = {name: contents(control, found[name]) for name in ("control", "md5sums") if name in found}
        if "control" not in texts:
            raise _broken(path, "it has no control file")
        return cls(
            path=path,
            sha256=hashlib.sha256(raw).hexdigest(),
            control=texts["control"],
            md5sums=texts.get("md5sums"),
            packed=_part(members, "data.tar", path),
        )

    @property
    def name(self) -> str:
        """The package's name."""
        return self._field("package")

    @property
    def version(self) -> str:
        """The package's version, with an epoch where it has one."""
        return self._field("version")

    @property
    def source(self) -> str:
        """The source package, which a binary package leaves out where both have one name."""
        return (self._field("source", self.name).split() or [self.name])[0]

    def files(self) -> tarfile.TarFile:
        """Open the files that it installs."""
        return _unpack(self.packed, self.path)

    def _field(self, key: str, default: str | None = None) -> str:
        try:
            fields = stanzas(self.control.decode())[0]
            return fields[key] if default is None else fields.get(key, default)
        except (LookupError, UnicodeDecodeError) as err:
            raise _broken(self.path, f"its control file names no {key}") from err


def contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return the bytes of a regular file in a tar."""
    stream = tar.extractfile(member) if member.isreg() and not member.issparse() else None
    if stream is None:
        raise DefectError(f"{member.name} is not a regular file")
    return stream.read()


def _broken(path: Path, why: str) -> OutsideError:
    return OutsideError(
        f"{path} is not a Debian package that can be read: {why}",
        means="it was not downloaded to its end, or is packed in a way that is new to sealift",
        next_step=f"rm {shell_word(path)}, then run this again",
    )


def _members(raw: bytes, path: Path) -> Iterator[tuple[str, bytes]]:
    """Read an ar archive: https://manpages.debian.org/deb.5."""
    if not raw.startswith(b"!<arch>\n"):
        raise _broken(path, "it is no ar archive")
    at = 8
    while at < len(raw):
        head = raw[at : at + 60]
        if len(head) < 60 or head[58:] != b"`\n" or not head[48:58].strip().isdigit():  # noqa: PLR2004 - ar's header
            raise _broken(path, f"no member begins at byte {at}")
        size = int(head[48:58])
        data = raw[at + 60 : at + 60 + size]
        if len(data) < size:
            raise _broken(path, "its last member is cut short")
        yield head[:16].decode("ascii", "replace").strip().rstrip("/"), data
        at += 60 + size + size % 2


def _part(members: Mapping[str, bytes], stem: str, path: Path) -> bytes:
    for name, data in members.items():
        if name == stem or name.startswith(f"{stem}."):
            return data
    raise _broken(path, f"it has no {stem}")


def _unpack(data: bytes, path: Path) -> tarfile.TarFile:
    try:
        if data.startswith(b"\xfd7zXZ\0"):
            unxz = lzma.LZMADecompressor(memlimit=MOST_UNPACKED)
            data, whole = unxz.decompress(data, MOST_UNPACKED), unxz.eof
        elif data.startswith(b"\x1f\x8b"):
            gunzip = zlib.decompressobj(wbits=31)
            data, whole = gunzip.decompress(data, MOST_UNPACKED), gunzip.eof
        else:
            whole = True
        if whole:
            tar = tarfile.open(fileobj=io.BytesIO(data), mode="r:", encoding="utf-8")  # noqa: SIM115
            tar.getmembers()
            return tar
    except (
        lzma.LZMAError,
        zlib.error,
        tarfile.TarError,
        EOFError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as err:
        raise _broken(path, str(err)) from err
    raise _broken(path, f"its tar is cut off, or unpacks to more than {MOST_UNPACKED >> 20} MiB")


def stanzas(text: str) -> list[dict[str, str]]:
    """Read Debian's ``Field: value`` paragraphs; fields in lower case, continued lines joined by newlines."""
    found: list[dict[str, str]] = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[key] = f"{fields.get(key, '')}\n{line.strip()}"
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields:
            found.append(fields)
    return found
