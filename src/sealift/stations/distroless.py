"""What a distroless base image may hold: files to be read, libraries, and nothing that starts anything.

Stated from Debian's packages and distroless' own files (docs/distroless.md), so that a base with one thing
more is refused, under whatever name it lies there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

from sealift.elf.facts import read_elf
from sealift.elf.rootfs import Entry, Rootfs
from sealift.errors import SealiftError
from sealift.oci.documents import differences, without_zero

ENV = frozenset(
    [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
    ]
)
USERS = frozenset(["", "0", "0:0", "root", "65532", "65532:65532", "nonroot", "nonroot:nonroot"])
FOLDERS = frozenset(["", "/", "/home/nonroot"])
LABELS = "org.opencontainers.image."
# Debian's base-files brings a script for a program that distroless does not have.
SCRIPTS = frozenset(["/etc/update-motd.d/10-uname"])
# The owners that are not root:root, as passwd and group of distroless name them.
OWNED: Mapping[str, tuple[int, int]] = {
    "/home/nonroot": (65532, 65532),
    "/var/local": (0, 50),
    "/var/mail": (0, 8),
}
SETGID_FOLDERS = frozenset(["/var/local", "/var/mail"])
SHARED = frozenset(["/tmp", "/var/tmp", "/var/lock", "/run/lock"])  # noqa: S108 - named, not used
MOST_NAMED = 6

_ET_DYN, _PT_INTERP = 3, 3


def odd_settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Say what a base's configuration tells an engine beyond what distroless' own does."""
    found = without_zero(settings)
    for word in found.pop("Env", ()):
        if word not in ENV:
            yield f"Env {word!r}"
    if (user := found.pop("User", "")) not in USERS:
        yield f"User {user!r}"
    if (folder := found.pop("WorkingDir", "")) not in FOLDERS:
        yield f"WorkingDir {folder!r}"
    labels = found.pop("Labels", {})
    yield from (f"label {name!r}" for name in sorted(labels) if not name.startswith(LABELS))
    yield from differences({}, found)


def odd_files(rootfs: Rootfs, shells: frozenset[str]) -> Iterator[str]:
    """Say what lies in a base and is not distroless'; shells and setuid files are found in every image."""
    kinds: dict[str, list[str]] = {}
    for entry in (*filter(None, [rootfs.resolve("/")]), *rootfs.entries()):
        for kind in _kinds(rootfs, entry, shells):
            kinds.setdefault(kind, []).append(entry.path)
    for kind, paths in sorted(kinds.items()):
        more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
        yield f"{kind}: {', '.join(paths[:MOST_NAMED])}{more}"


def _kinds(rootfs: Rootfs, entry: Entry, shells: frozenset[str]) -> Iterator[str]:
    if entry.kind in ("char", "block", "fifo"):
        yield "devices and pipes"
    if (entry.uid, entry.gid) != OWNED.get(entry.path, (0, 0)) and (entry.uid, entry.gid) != (0, 0):
        yield "files of another owner"
    if entry.kind == "dir":
        if entry.mode & 0o6000 and (entry.path not in SETGID_FOLDERS or entry.mode & 0o4000):
            yield "setuid or setgid folders"
        if entry.mode & 0o002 and (entry.path not in SHARED or not entry.mode & 0o1000):
            yield "folders that every user may write to"
    if entry.kind == "file":
        if entry.mode & 0o1022:
            yield "files that others than their owner may write to"
        if entry.path.rsplit("/", 1)[-1] not in shells:
            yield from _programs(rootfs.read(entry.path), entry.path)


def _programs(data: bytes, path: str) -> Iterator[str]:
    """Tell a program from a library: what can be entered has the name that others load it by, or is none."""
    if data.startswith(b"#!") and path not in SCRIPTS:
        yield "scripts"
    if not data.startswith(b"\x7fELF"):
        return
    try:
        enters = _enters(data)
        facts = read_elf(data) if enters else None
    except (SealiftError, struct.error, IndexError):
        yield "ELF files that cannot be read"
        return
    name = path.rsplit("/", 1)[-1]
    if ".so" not in name or (facts is not None and (facts.kind != "dyn" or facts.soname != name)):
        yield "programs"


def _enters(data: bytes) -> bool:
    """Tell whether the kernel could start a file: libraries have no entry point, or their loader's name."""
    order = "<" if data[5] == 1 else ">"
    wide = data[4] == 2  # noqa: PLR2004 - ELFCLASS64
    kind, _, _, entry, table = struct.unpack_from(f"{order}HHI{'QQ' if wide else 'II'}", data, 16)
    size, count = struct.unpack_from(f"{order}HH", data, 54 if wide else 42)
    types = (struct.unpack_from(f"{order}I", data, table + number * size)[0] for number in range(count))
    return kind != _ET_DYN or entry != 0 or _PT_INTERP in types
