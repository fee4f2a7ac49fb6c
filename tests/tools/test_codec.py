"""Threads may read the same type for the first time at the same moment.

A crash would end the tests as well, so it is another Python that reads.
"""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

pytestmark = pytest.mark.programs

READING = """
    import sys, threading
    from typing import Optional
    import msgspec
    from sealift.model import codec

    READ = {
        "decode": codec.decode,
        "convert": lambda raw, kind: codec.convert({"entry": {"size": 1, "names": ["a"]}, "all": []}, kind),
    }[sys.argv[1]]
    RAW = b'{"entry": {"size": 1, "names": ["a"]}, "all": [{"size": 2, "names": []}]}'

    def read(kind, together):
        together.wait()
        assert READ(RAW, kind).entry.size == 1
        done.append(kind)

    sys.setswitchinterval(1e-6)
    for number in range(300):
        class Entry(msgspec.Struct):
            size: int
            names: tuple[str, ...]
            more: "Optional[dict[str, int]]" = None

        class Outer(msgspec.Struct):
            entry: Entry
            all: "tuple[Entry, ...]"

        together, done = threading.Barrier(4), []
        threads = [threading.Thread(target=read, args=(Outer, together)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done == [Outer] * 4
"""


@pytest.mark.parametrize("how", ["decode", "convert"])
def test_what_is_read_first_by_many_at_once_is_whole(how: str) -> None:
    done = subprocess.run([sys.executable, "-c", dedent(READING), how], check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
