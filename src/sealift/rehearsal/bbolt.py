"""Write a bbolt database: the one-file key-value store that Trivy reads its advisories from.

Only what a reader needs: two meta pages, an empty freelist, and one leaf page for each bucket. The file
format is bbolt's version 2, https://github.com/etcd-io/bbolt/blob/main/internal/common/page.go
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TypeAlias

from sealift.errors import DefectError

Bucket: TypeAlias = "Mapping[str, Bucket | bytes]"

PAGE = 4096
MAGIC = 0xED0CDAED
FORMAT = 2
LEAF, META, FREELIST = 0x02, 0x04, 0x10
BUCKET_ENTRY = 1
MOST_ENTRIES = 0xFFFE  # one leaf page's counter; more would need branch pages


def encode(root: Bucket) -> bytes:
    """Return the file that holds these buckets; the same buckets give the same bytes."""
    pages = _Pages()
    top = pages.add_bucket(root)
    # bbolt takes the valid meta page with the higher transaction; both describe the same state here.
    file = bytearray(_meta(0, top, pages.end) + _meta(1, top, pages.end))
    file += _fill(_header(2, FREELIST, 0, 0))
    for page in pages.done:
        file += page
    return bytes(file)


class _Pages:
    """The leaf pages so far. A bucket's page follows those of the buckets inside it."""

    def __init__(self) -> None:
        self.end = 3
        self.done: list[bytes] = []

    def add_bucket(self, bucket: Bucket) -> int:
        """Lay one bucket out and return its page's number."""
        if len(bucket) > MOST_ENTRIES:
            raise DefectError(f"a bucket with {len(bucket)} entries does not fit one leaf page")
        entries = [self._entry(key.encode(), bucket[key]) for key in sorted(bucket, key=str.encode)]
        heads, data = b"", b""
        for place, (flags, key, value) in enumerate(entries):
            # An entry's position is counted from its own head, not from the page.
            offset = 16 * (len(entries) - place) + len(data)
            heads += struct.pack("<IIII", flags, offset, len(key), len(value))
            data += key + value
        return self._add(len(entries), heads + data)

    def _entry(self, key: bytes, value: Bucket | bytes) -> tuple[int, bytes, bytes]:
        if isinstance(value, bytes):
            return 0, key, value
        return BUCKET_ENTRY, key, struct.pack("<QQ", self.add_bucket(value), 0)

    def _add(self, count: int, payload: bytes) -> int:
        number = self.end
        pages = -(-(16 + len(payload)) // PAGE)
        self.end += pages
        self.done.append(_fill(_header(number, LEAF, count, pages - 1) + payload))
        return number


def _header(number: int, flags: int, count: int, overflow: int) -> bytes:
    return struct.pack("<QHHI", number, flags, count, overflow)


def _fill(page: bytes) -> bytes:
    return page + bytes(-len(page) % PAGE)


def _meta(number: int, root: int, end: int) -> bytes:
    body = struct.pack("<IIII", MAGIC, FORMAT, PAGE, 0)
    body += struct.pack("<QQ", root, 0) + struct.pack("<QQQ", 2, end, number)
    return _fill(_header(number, META, 0, 0) + body + struct.pack("<Q", _fnv1a(body)))


def _fnv1a(data: bytes) -> int:
    """Return the 64-bit FNV-1a hash that guards a meta page."""
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
