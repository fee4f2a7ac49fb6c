"""/etc/ld.so.cache, in which ldconfig writes down where each library lies.

Distroless images have none; full systems do, and their loader believes it before it looks in any folder.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from sealift.elf.facts import Endianness
from sealift.elf.rootfs import Rootfs

PATH = "/etc/ld.so.cache"
# An older table may stand before the one that glibc has read since 2.2; offsets count from this.
MAGIC = b"glibc-ld.so.cache1.1"
HEADER, ENTRY = "II20x", "iIIIQ"


def read_cache(rootfs: Rootfs, endianness: Endianness) -> Mapping[str, tuple[str, ...]]:
    """Return the paths that an image's cache gives for each name, in its order; nothing without a cache.

    Libraries of every machine are in it: whoever opens one must look at that. Those for newer processors
    are left out, because every program must find one for the oldest.
    """
    entry = rootfs.resolve(PATH)
    if entry is None or entry.kind != "file":
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, path in _entries(rootfs.read(PATH), "<" if endianness == "little" else ">"):
        found[name] = (*found.get(name, ()), path)
    return found


def _entries(data: bytes, order: str) -> Iterator[tuple[str, str]]:
    start = data.find(MAGIC)
    table = data[start:] if start >= 0 else b""
    entries = len(MAGIC) + struct.calcsize(order + HEADER)
    if len(table) < entries:
        return
    count, _ = struct.unpack_from(order + HEADER, table, len(MAGIC))
    size = struct.calcsize(order + ENTRY)
    if (len(table) - entries) // size < count:
        return  # the loader, too, takes a cut cache for none
    for at in range(entries, entries + count * size, size):
        _flags, name, path, _system, processor = struct.unpack_from(order + ENTRY, table, at)
        if processor == 0:
            yield _text(table, name), _text(table, path)


def _text(table: bytes, at: int) -> str:
    return table[at : table.find(b"\0", at)].decode(errors="surrogateescape")
