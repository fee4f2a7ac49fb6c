"""A program's peak memory is its own: the kernel's figure counts the memory of whoever starts it."""

from __future__ import annotations

import os
import sys

import pytest

from sealift import process

pytestmark = pytest.mark.programs

MB = 1_000_000


def peak(*argv: str) -> int:
    with process.recording() as recorder:
        process.run(argv)
    (ran,) = recorder.runs
    return ran.max_rss_bytes


def test_a_small_program_is_not_charged_with_our_memory() -> None:
    ours = bytearray(b"\1") * (100 * MB)
    assert 0 < peak("sleep", "2") < 20 * MB
    assert len(ours) == 100 * MB


def test_the_memory_of_a_program_s_child_counts() -> None:
    more = process.high_water(os.getpid()) // MB + 100
    taking = f"x = bytearray(b'1') * ({more} * {MB})"
    assert peak("sh", "-c", f'"{sys.executable}" -c "{taking}"; true') > more * MB
