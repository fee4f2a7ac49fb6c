"""ELF files that were made to keep a reader busy or to mislead it: our own error, and at once."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sealift.elf.facts import ElfFacts, read_elf
from sealift.elf.program import odd_folders, odd_program
from sealift.errors import SealiftError, UsageError
from tests.unit.elf.assets import FOLDER, asset
from tests.unit.elf.crafted import (
    AUDIT,
    AUXILIARY,
    INTERPRETER,
    NEEDED,
    RUNPATH,
    SONAME,
    STRTAB,
    VERDEF,
    VERNEED,
    crafted,
    many_needed,
    start,
    start_of_table,
    unnumbered_sections,
    versions,
)

ENOUGH = 20_000


def need(count: int, following: int, *, auxiliary: int = 16) -> bytes:
    """Write entries of the versions that a file needs, each with one version behind it."""
    one = struct.pack("<HHIII", 1, 1, 0, auxiliary, following) + struct.pack("<IHHII", 0, 0, 0, 0, 0)
    return one * count


FILES: dict[str, tuple[bytes, str]] = {
    "4,000 libraries": (many_needed(4000), "has 4000 entries DT_NEEDED, more than 512"),
    "more entries than any table has": (
        crafted([(STRTAB, 0)] + [(0x70000042, 0)] * 5000),
        "more than 4096",
    ),
    "a chain of versions without an end": (
        versions(VERNEED, need(ENOUGH, 32)),
        "entries in its tables of versions, more than 16384",
    ),
    "versions that overlap": (versions(VERNEED, need(ENOUGH, 1)), "damaged or cut off"),
    "each with all the others": (
        versions(VERNEED, struct.pack("<HHIII", 1, 1, 0, 16, 16) * ENOUGH),
        "entries in its tables of versions, more than 16384",
    ),
    "definitions without an end": (
        versions(VERDEF, struct.pack("<HHHHIII", 1, 0, 1, 1, 0, 20, 28).ljust(28, b"\0") * ENOUGH),
        "entries in its tables of versions, more than 16384",
    ),
    "two search paths": (
        crafted([(STRTAB, start(3)), (RUNPATH, 0), (RUNPATH, 0)], b"/lib\0"),
        "has 2 entries DT_RUNPATH, more than 1",
    ),
    "two names": (crafted([(STRTAB, start(3)), (SONAME, 0), (SONAME, 0)], b"a\0"), "2 entries DT_SONAME"),
    "a name without an end": (
        crafted([(STRTAB, start(2)), (NEEDED, 0)], b"a" * 100_000),
        "damaged or cut off",
    ),
    "hundreds of folders": (
        crafted([(STRTAB, start(2)), (RUNPATH, 0)], b":".join([b"/a"] * 600) + b"\0"),
        "has 600 folders to search, more than 512",
    ),
    "two interpreters": (
        crafted([], b"/lib/ld\0", segments=[(INTERPRETER, start(0, 2), 8)] * 2),
        "has 2 headers PT_INTERP, more than 1",
    ),
    "two dynamic tables": (
        crafted([], segments=[(2, start_of_table(1), 16)]),
        "has 2 headers PT_DYNAMIC, more than 1",
    ),
    "an interpreter of a megabyte": (
        crafted([], b"/" * 2**20, segments=[(INTERPRETER, start(0, 1), 2**20)]),
        "bytes in the name of its interpreter, more than 4096",
    ),
    "a thousand segments": (
        crafted([], segments=[(0, 0, 0)] * 1000),
        "has 1002 program headers, more than 256",
    ),
    "more sections than a header counts": (unnumbered_sections(2**40), "sections, more than 65536"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_crafted_file_ends_in_an_error_at_once(name: str) -> None:
    data, words = FILES[name]
    began = time.process_time()
    with pytest.raises(UsageError, match=words):
        read_elf(data)
    assert time.process_time() - began < 10


def test_what_a_linker_writes_is_far_from_every_limit() -> None:
    assert len(read_elf(many_needed(500)).needed) == 500


FOLDERS = ["/opt", "/opt/lib", "lib", "", "/proc/1/root/lib", "/lib/../opt", "/home/nonroot/lib", "/libx"]
FOLDERS += ["$ORIGIN", "$ORIGIN/../opt", "$LIB", "/usr/local/lib", "//opt", "/lib ", "/LIB"]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("kind", ["rpath", "runpath"])
def test_a_folder_that_is_not_the_systems_is_named(folder: str, kind: str) -> None:
    facts = ElfFacts(arch="amd64", bits=64, endianness="little", kind="exec", **{kind: ("/lib", folder)})  # type: ignore[arg-type]
    (reason,) = odd_folders(facts)
    assert f"{kind.upper()} {folder!r}" in reason


def test_the_loaders_other_ways_to_load_are_named(tmp_path: Path) -> None:
    path = tmp_path / "program"
    for tag, name in ((AUDIT, "DT_AUDIT"), (AUXILIARY, "DT_AUXILIARY")):
        path.write_bytes(crafted([(STRTAB, start(2)), (tag, 0)], b"/opt/x.so\0"))
        assert f"{name} makes the loader load '/opt/x.so'" in list(odd_program(path, cgo=False))


def changed(name: str, old: bytes, new: bytes) -> bytes:
    data = asset(name)
    assert old in data
    return data.replace(old, new.ljust(len(old), b"\0"))


def with_flags(name: str, kind: int, flags: int) -> bytes:
    """Give each segment of a type other rights."""
    data = bytearray(asset(name))
    (count,) = struct.unpack_from("<H", data, 56)
    for at in range(64, 64 + 56 * count, 56):
        if struct.unpack_from("<I", data, at) == (kind,):
            data[at + 4 : at + 8] = struct.pack("<I", flags)
    return bytes(data)


def with_compressed_sections(name: str) -> bytes:
    """Say of each section that it is compressed, in a way that no reader knows."""
    data = bytearray(asset(name))
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    for at in range(table + size, table + size * count, size):
        (flags,) = struct.unpack_from("<Q", data, at + 8)
        data[at + 8 : at + 16] = struct.pack("<Q", flags | 0x800)
    return bytes(data)


PROGRAMS: dict[str, tuple[bytes, str]] = {
    "compressed sections": (with_compressed_sections("static"), "section .go.buildinfo is compressed"),
    "no table of functions": (changed("static", b".gopclntab", b".gopclnta"), "0 sections .gopclntab"),
    "no build info": (changed("static", b".go.buildinfo", b".go.buildinf"), "0 sections .go.buildinfo"),
    "other build info": (
        changed("static", b"\xff Go buildinf:", b"\xff go buildinf:"),
        "does not begin as build info does",
    ),
    "another table": (
        changed("static", b"\xf1\xff\xff\xff\0\0\1\x08", b"\xf2\xff\xff\xff\0\0\1\x08"),
        "covers 0 of",
    ),
    "a table of too little": (
        changed("static", struct.pack("<III", 0, 0, 16), struct.pack("<III", 0, 0, 1)),
        "covers 1 of 18 bytes of code",
    ),
    "a table of too much": (
        changed("static", struct.pack("<III", 0, 0, 16), struct.pack("<III", 0, 0, 99)),
        "covers 99 of 18 bytes of code",
    ),
    "entered elsewhere": (
        asset("static")[:24] + struct.pack("<Q", 0x1000158) + asset("static")[32:],
        "outside of its code",
    ),
    "bytes behind its end": (asset("static") + b"payload", "7 bytes follow what its headers name"),
    "memory to unpack into": (with_flags("static", 1, 7), "is writable and executable"),
    "an executable stack": (with_flags("static", 0x6474E551, 7), "its stack is executable"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_no_linker_of_go_writes_is_named(tmp_path: Path, name: str) -> None:
    data, words = PROGRAMS[name]
    path = tmp_path / "program"
    path.write_bytes(data)
    read_elf(path)
    assert any(words in reason for reason in odd_program(path, cgo=False)), list(odd_program(path, cgo=False))


def test_a_table_may_cover_less_where_c_is_linked_in(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(changed("static", struct.pack("<III", 0, 0, 16), struct.pack("<III", 0, 0, 1)))
    assert list(odd_program(path, cgo=True)) == []


@pytest.mark.parametrize("name", ["static", "static-pie", "dynamic"])
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_what_a_linker_of_go_writes_is_not(name: str, arch: str) -> None:
    assert list(odd_program(FOLDER / arch / name, cgo=name == "dynamic")) == []


@given(data=st.data())
@hypothesis_settings(max_examples=150, deadline=None)
def test_damage_never_escapes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
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
