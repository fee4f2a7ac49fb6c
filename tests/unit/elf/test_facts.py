"""Facts of real ELF files, and plain words for everything else."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.elf.facts import ElfFacts, read_elf
from sealift.errors import SealiftError, UsageError

from .assets import FOLDER, asset

WHOLE = tuple(sorted(p.relative_to(FOLDER).as_posix() for p in FOLDER.glob("a*64/*") if p.suffix != ".o"))
DT_RPATH, DT_RUNPATH = 15, 29


def with_machine(data: bytes, machine: int) -> bytes:
    return data[:18] + struct.pack("<H", machine) + data[20:]


def with_tag(data: bytes, old: int, new: int) -> bytes:
    """Give an entry of the dynamic table another tag."""
    table = dynamic_table(data)
    for offset in range(table, len(data), 16):
        if struct.unpack_from("<Q", data, offset) == (old,):
            return data[:offset] + struct.pack("<Q", new) + data[offset + 8 :]
    raise AssertionError(f"no entry {old}")


def dynamic_table(data: bytes) -> int:
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for header in range(start, start + size * count, size):
        if struct.unpack_from("<I", data, header) == (2,):
            return int(struct.unpack_from("<Q", data, header + 8)[0])
    raise AssertionError("no PT_DYNAMIC")


@pytest.mark.parametrize(
    ("arch", "interpreter"),
    [("amd64", "/lib64/ld-linux-x86-64.so.2"), ("arm64", "/lib/ld-linux-aarch64.so.1")],
)
def test_a_dynamic_program(arch: str, interpreter: str) -> None:
    facts = read_elf(asset("dynamic", arch))
    assert facts == ElfFacts(
        arch=arch,
        bits=64,
        endianness="little",
        kind="exec",
        interpreter=interpreter,
        needed=("libone.so.1",),
        required_versions={"libone.so.1": ("ONE_1.0", "ONE_1.1")},
    )
    assert facts.linkage == "dynamic"


@pytest.mark.parametrize(("name", "kind"), [("static", "exec"), ("static-pie", "dyn")])
def test_a_static_program(name: str, kind: str) -> None:
    facts = read_elf(FOLDER / "amd64" / name)
    assert (facts.kind, facts.linkage, facts.interpreter, facts.needed) == (kind, "static", None, ())


def test_a_library() -> None:
    facts = read_elf(asset("libone.so"))
    assert (facts.soname, facts.needed) == ("libone.so.1", ("libtwo.so",))
    assert facts.defined_versions == ("ONE_1.0", "ONE_1.1")
    assert read_elf(asset("libone-old.so")).defined_versions == ("ONE_1.0",)
    assert read_elf(asset("libtwo.so")).defined_versions == ()


def test_search_paths() -> None:
    data = asset("runpath")
    assert read_elf(data).runpath == ("$ORIGIN/lib", "/opt/lib")
    older = read_elf(with_tag(data, DT_RUNPATH, DT_RPATH))
    assert (older.rpath, older.runpath) == (("$ORIGIN/lib", "/opt/lib"), ())


def test_sections_are_not_needed() -> None:
    """A program without section headers still starts, and still needs its libraries."""
    data = bytearray(asset("dynamic"))
    (sections,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<Q", data, 40, 0)
    struct.pack_into("<HHH", data, 58, 0, 0, 0)
    assert read_elf(bytes(data[:sections])) == read_elf(asset("dynamic"))


def test_a_weak_version_is_not_required() -> None:
    data = asset("dynamic")
    (flags,) = [
        at + 4
        for at in range(0, len(data) - 16, 4)
        if struct.unpack_from("<IHH", data, at)[0] == sysv_hash("ONE_1.1")
    ]
    weak = data[:flags] + struct.pack("<H", 2) + data[flags + 2 :]
    assert read_elf(weak).required_versions == {"libone.so.1": ("ONE_1.0",)}


def sysv_hash(name: str) -> int:
    value = 0
    for letter in name.encode():
        value = (value << 4) + letter
        value = (value ^ ((value & 0xF0000000) >> 24)) & 0x0FFFFFFF
    return value


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"#!/bin/sh\necho\n", "looks like a script"),
        (b"MZ" + bytes(60), "a Windows program"),
        (b"\xcf\xfa\xed\xfe" + bytes(60), "a macOS program"),
        (b"hello world", "not a Linux program"),
        (b"\x7fELF", "damaged"),
        (asset("object.o"), "neither a program nor a library"),
        (with_machine(asset("static"), 43), "EM_SPARCV9"),
        (with_machine(asset("static"), 0xBEEF), "48879"),
    ],
)
def test_what_is_no_program_is_said_in_plain_words(data: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_elf(data)


@pytest.mark.parametrize(("name", "words"), [("absent", "No such file"), (".", "Is a directory")])
def test_an_unreadable_path(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_elf(tmp_path / name)


def test_a_cut_program_says_how_much_is_missing() -> None:
    data = asset("dynamic")
    words = f"it has {len(data) - 1} bytes, its headers speak of {len(data)}"
    with pytest.raises(UsageError, match=words):
        read_elf(data[:-1])


@given(name=st.sampled_from(WHOLE), cut=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_no_part_of_a_program_passes(name: str, cut: float) -> None:
    data = (FOLDER / name).read_bytes()
    with pytest.raises(UsageError):
        read_elf(data[: int(len(data) * cut)])


@given(
    name=st.sampled_from(WHOLE),
    changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damage_never_escapes_as_another_exception(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray((FOLDER / name).read_bytes())
    for at, value in changes:
        data[at % len(data)] = value
    try:
        read_elf(bytes(data))
    except SealiftError:
        return
