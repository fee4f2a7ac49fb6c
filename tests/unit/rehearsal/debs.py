"""Small packages, made as Debian makes them."""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


def tar(
    files: Mapping[str, bytes],
    directories: Sequence[str] = (),
    links: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path in ("./", *directories):
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, 1700000000
            archive.addfile(entry)
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime = len(data), 1700000000
            archive.addfile(entry, io.BytesIO(data))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return held.getvalue()


def ar(members: Iterable[tuple[str, bytes]]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


def control(name: str, version: str = "1.0-1", *more: str) -> bytes:
    lines = [f"Package: {name}", *more, f"Version: {version}", "Description: a package", " in two lines", ""]
    return "\n".join(lines).encode()


def deb_bytes(
    name: str, files: Mapping[str, bytes], *more: str, directories: Sequence[str] = ("./usr", "./usr/share")
) -> bytes:
    sums = "".join(f"{hashlib.md5(data).hexdigest()}  {path[2:]}\n" for path, data in files.items())  # noqa: S324 - dpkg's
    about = tar({"./control": control(name, "1.0-1", *more), "./md5sums": sums.encode()})
    return ar(
        [
            ("debian-binary", b"2.0\n"),
            ("control.tar.xz", lzma.compress(about)),
            ("data.tar.xz", lzma.compress(tar(files, directories))),
        ]
    )


def write_deb(folder: Path, name: str, files: Mapping[str, bytes] | None = None, *more: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}_1.0-1_all.deb"
    path.write_bytes(deb_bytes(name, files or {f"./usr/share/{name}": name.encode()}, *more))
    return path


def write_debs(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        files = {f"./usr/share/{name}": name.encode()}
        if name == "ca-certificates":
            files = {
                "./usr/share/ca-certificates/mozilla/B.crt": CERTIFICATE.replace(b"AAAA", b"BBBB"),
                "./usr/share/ca-certificates/mozilla/A.crt": CERTIFICATE,
                "./usr/share/doc/ca-certificates/copyright": b"terms\n",
            }
        write_deb(folder, name, files)
    return folder
