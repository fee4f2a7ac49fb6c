"""The cache of a full system, as ldconfig writes it."""

from __future__ import annotations

import struct

import pytest

from sealift.elf.facts import Endianness
from sealift.elf.ldcache import read_cache

from .tars import image

Entry = tuple[str, str, int]


def cache(*entries: Entry, order: str = "<", count: int | None = None) -> bytes:
    """Write a table of name, path and processor as glibc's ldconfig does."""
    strings, places = b"", []
    start = 48 + 24 * len(entries)
    for name, path, processor in entries:
        places.append((start + len(strings), start + len(strings) + len(name) + 1, processor))
        strings += f"{name}\0{path}\0".encode()
    head = b"glibc-ld.so.cache1.1" + struct.pack(order + "II20x", len(places) if count is None else count, 0)
    table = b"".join(struct.pack(order + "iIIIQ", 0x303, name, path, 0, cpu) for name, path, cpu in places)
    return head + table + strings


@pytest.mark.parametrize(("order", "endianness"), [("<", "little"), (">", "big")])
def test_paths_by_name_in_order(order: str, endianness: Endianness) -> None:
    data = cache(
        ("libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", 0),
        ("libc.so.6", "/lib32/libc.so.6", 0),
        ("libz.so.1", "/opt/libz.so.1", 0),
        order=order,
    )
    assert read_cache(image({"etc/ld.so.cache": data}), endianness) == {
        "libc.so.6": ("/lib/x86_64-linux-gnu/libc.so.6", "/lib32/libc.so.6"),
        "libz.so.1": ("/opt/libz.so.1",),
    }


def test_libraries_for_newer_processors_do_not_count() -> None:
    data = cache(
        ("libz.so.1", "/lib/glibc-hwcaps/x86-64-v3/libz.so.1", 1 << 62), ("libz.so.1", "/lib/libz.so.1", 0)
    )
    assert read_cache(image({"etc/ld.so.cache": data}), "little") == {"libz.so.1": ("/lib/libz.so.1",)}


def test_an_older_table_may_stand_before_it() -> None:
    old = b"ld.so-1.7.0\0" + struct.pack("<I", 1) + struct.pack("<iII", 3, 0, 0) + bytes(4)
    data = old + cache(("libz.so.1", "/lib/libz.so.1", 0))
    assert read_cache(image({"etc/ld.so.cache": data}), "little") == {"libz.so.1": ("/lib/libz.so.1",)}


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"glibc-ld.so.cache1.1", cache(("a", "/a", 0), count=2), cache(("a", "/a", 0))[:60]],
)
def test_what_is_no_whole_cache_is_none(data: bytes) -> None:
    assert read_cache(image({"etc/ld.so.cache": data}), "little") == {}


def test_without_a_cache() -> None:
    assert read_cache(image({"etc/ld.so.cache/x": b""}), "little") == {}
    assert read_cache(image({}), "little") == {}
