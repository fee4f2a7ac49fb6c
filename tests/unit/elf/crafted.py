"""ELF files that no linker writes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tests.unit.elf.assets import asset

EXECUTABLE, DYNAMIC, INTERPRETER = 1, 2, 3
NEEDED, STRTAB, SONAME, RUNPATH, AUDIT, AUXILIARY = 1, 5, 14, 29, 0x6FFFFEFC, 0x7FFFFFFD
VERNEED, VERDEF = 0x6FFFFFFE, 0x6FFFFFFC
HEADER, SEGMENT, TAG = 64, 56, 16
Tag = tuple[int, int]


def crafted(
    tags: Sequence[Tag], data: bytes = b"\0", *, segments: Sequence[tuple[int, int, int]] = ()
) -> bytes:
    """Write a library with a dynamic table, whose addresses are offsets; ``data`` begins at ``start(tags)``.

    More segments are a type, an offset and a size.
    """
    table = b"".join(struct.pack("<QQ", tag, value) for tag, value in [*tags, (0, 0)])
    at = start_of_table(len(segments))
    size = at + len(table) + len(data)
    headers = [(EXECUTABLE, 0, size), (DYNAMIC, at, len(table)), *segments]
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, HEADER, 0, 0, HEADER, SEGMENT, len(headers), 0, 0, 0
    )
    described = (struct.pack("<IIQQQQQQ", kind, 4, o, o, o, n, n, 1) for kind, o, n in headers)
    return head + b"".join(described) + table + data


def start_of_table(segments: int = 0) -> int:
    return HEADER + SEGMENT * (2 + segments)


def start(tags: int, segments: int = 0) -> int:
    """Return where the data begins behind so many tags."""
    return start_of_table(segments) + TAG * (tags + 1)


def many_needed(count: int) -> bytes:
    return crafted([(STRTAB, start(count + 1)), *[(NEEDED, 0)] * count], b"libone.so.1\0")


def versions(tag: int, data: bytes) -> bytes:
    """Write a library whose table of versions is ``data``, and whose strings lie behind it."""
    return crafted([(tag, start(2)), (STRTAB, start(2) + len(data))], data + b"libone.so.1\0" * 4)


def unnumbered_sections(count: int) -> bytes:
    """Write a library whose number of sections does not fit into its header, and stands in the first one."""
    data = bytearray(crafted([]))
    section = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, count, 0, 0, 0, 0)
    data[40:48] = struct.pack("<Q", len(data))
    data[58:64] = struct.pack("<HHH", len(section), 0, 0)
    return bytes(data) + section


def changed(name: str, old: bytes, new: bytes) -> bytes:
    """Change some bytes of a real file."""
    data = asset(name)
    assert old in data
    return data.replace(old, new.ljust(len(old), b"\0"))
