"""What a linker writes is accepted; damage ends in our own errors. tests/attacks has crafted files."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sealift.elf.facts import read_elf
from sealift.elf.program import odd_folders, odd_program
from sealift.errors import SealiftError
from tests.unit.elf.assets import FOLDER, asset
from tests.unit.elf.crafted import (
    changed,
    many_needed,
)


def test_read_elf_accepts_500_libraries() -> None:
    assert len(read_elf(many_needed(500)).needed) == 500


def test_odd_program_accepts_smaller_table_with_cgo(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(changed("static", struct.pack("<III", 0, 0, 16), struct.pack("<III", 0, 0, 1)))
    assert list(odd_program(path, cgo=True)) == []


@pytest.mark.parametrize("name", ["static", "static-pie", "dynamic"])
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_odd_program_accepts_real_go_program(name: str, arch: str) -> None:
    assert list(odd_program(FOLDER / arch / name, cgo=name == "dynamic")) == []


@given(data=st.data())
@hypothesis_settings(max_examples=150, deadline=None)
def test_damaged_elf_file_raises_our_errors_only(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(["static", "static-pie", "dynamic", "runpath", "libone.so"]))
    raw = bytearray(asset(name))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "program"
    path.write_bytes(raw)
    try:
        facts = read_elf(path)
    except SealiftError:
        return
    assert isinstance([*odd_program(path, cgo=False), *odd_folders(facts)], list)
