"""Prove: ELF files that were made to occupy a reader, to mislead it, or that no linker of Go writes."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.elf.facts import read_elf
from sealift.errors import UsageError
from sealift.stations.gate import GateRefusedError
from tests.attacks.catalogue import Attack, Kind, attacks, each, refusals
from tests.unit.elf.assets import asset
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
    changed,
    crafted,
    many_needed,
    start,
    start_of_table,
    unnumbered_sections,
    versions,
)
from tests.unit.stations.proving import dynamic_case, static_case

ENOUGH = 20_000


def need(count: int, following: int, *, auxiliary: int = 16) -> bytes:
    """Write entries of the versions that a file needs, each with one version behind it."""
    one = struct.pack("<HHIII", 1, 1, 0, auxiliary, following) + struct.pack("<IHHII", 0, 0, 0, 0, 0)
    return one * count


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


@each(
    *attacks(
        Kind.PROGRAM,
        "prove",
        {
            "4,000 entries DT_NEEDED": (many_needed(4000), "has 4000 entries DT_NEEDED, more than 512"),
            "5,000 entries in the dynamic table": (
                crafted([(STRTAB, 0)] + [(0x70000042, 0)] * 5000),
                "more than 4096",
            ),
            "20,000 needed versions": (
                versions(VERNEED, need(ENOUGH, 32)),
                "entries in its tables of versions, more than 16384",
            ),
            "needed versions that overlap": (versions(VERNEED, need(ENOUGH, 1)), "damaged or cut off"),
            "needed versions each of which holds all that follow": (
                versions(VERNEED, struct.pack("<HHIII", 1, 1, 0, 16, 16) * ENOUGH),
                "entries in its tables of versions, more than 16384",
            ),
            "20,000 defined versions": (
                versions(VERDEF, struct.pack("<HHHHIII", 1, 0, 1, 1, 0, 20, 28).ljust(28, b"\0") * ENOUGH),
                "entries in its tables of versions, more than 16384",
            ),
            "two entries DT_RUNPATH": (
                crafted([(STRTAB, start(3)), (RUNPATH, 0), (RUNPATH, 0)], b"/lib\0"),
                "has 2 entries DT_RUNPATH, more than 1",
            ),
            "two entries DT_SONAME": (
                crafted([(STRTAB, start(3)), (SONAME, 0), (SONAME, 0)], b"a\0"),
                "2 entries DT_SONAME",
            ),
            "a library name without an end": (
                crafted([(STRTAB, start(2)), (NEEDED, 0)], b"a" * 100_000),
                "damaged or cut off",
            ),
            "a RUNPATH of 600 folders": (
                crafted([(STRTAB, start(2)), (RUNPATH, 0)], b":".join([b"/a"] * 600) + b"\0"),
                "has 600 folders to search, more than 512",
            ),
            "two headers PT_INTERP": (
                crafted([], b"/lib/ld\0", segments=[(INTERPRETER, start(0, 2), 8)] * 2),
                "has 2 headers PT_INTERP, more than 1",
            ),
            "two headers PT_DYNAMIC": (
                crafted([], segments=[(2, start_of_table(1), 16)]),
                "has 2 headers PT_DYNAMIC, more than 1",
            ),
            "an interpreter's name of 1 MiB": (
                crafted([], b"/" * 2**20, segments=[(INTERPRETER, start(0, 1), 2**20)]),
                "bytes in the name of its interpreter, more than 4096",
            ),
            "1,000 program headers": (
                crafted([], segments=[(0, 0, 0)] * 1000),
                "has 1002 program headers, more than 256",
            ),
            "2^40 sections": (unnumbered_sections(2**40), "sections, more than 65536"),
        },
    )
)
def test_prove_rejects_elf_file_that_occupies_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack[bytes]
) -> None:
    began = time.process_time()
    with pytest.raises(UsageError) as unreadable:
        read_elf(attack.artefact)
    assert attack.words in str(unreadable.value)
    with pytest.raises(GateRefusedError) as caught:
        replace(dynamic_case(tmp_path, monkeypatch), binary=attack.artefact).prove()
    attack.assert_blocked_by(caught.value)
    assert time.process_time() - began < 20


@each(
    *attacks(
        Kind.PROGRAM,
        "prove",
        {
            "a Go program with compressed sections": (
                with_compressed_sections("static"),
                "section .go.buildinfo is compressed",
            ),
            "a program without Go's table of functions": (
                changed("static", b".gopclntab", b".gopclnta"),
                "0 sections .gopclntab",
            ),
            "a Go program without the section of build info": (
                changed("static", b".go.buildinfo", b".go.buildinf"),
                "0 sections .go.buildinfo",
            ),
            "a Go program with other build info": (
                changed("static", b"\xff Go buildinf:", b"\xff go buildinf:"),
                "does not begin as build info does",
            ),
            "a Go program with another table of functions": (
                changed("static", b"\xf1\xff\xff\xff\0\0\1\x08", b"\xf2\xff\xff\xff\0\0\1\x08"),
                "covers 0 of",
            ),
            "a table of functions that covers too little code": (
                changed("static", struct.pack("<III", 0, 0, 16), struct.pack("<III", 0, 0, 1)),
                "covers 1 of 18 bytes of code",
            ),
            "a table of functions that covers too much code": (
                changed("static", struct.pack("<III", 0, 0, 16), struct.pack("<III", 0, 0, 99)),
                "covers 99 of 18 bytes of code",
            ),
            "a Go program that starts outside of its code": (
                asset("static")[:24] + struct.pack("<Q", 0x1000158) + asset("static")[32:],
                "outside of its code",
            ),
            "a Go program with a payload behind its end": (
                asset("static") + b"payload",
                "7 bytes follow what its headers name",
            ),
            "a Go program with writable and executable memory": (
                with_flags("static", 1, 7),
                "is writable and executable",
            ),
            "a Go program with an executable stack": (
                with_flags("static", 0x6474E551, 7),
                "its stack is executable",
            ),
        },
    )
)
def test_prove_rejects_program_that_go_never_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack[bytes]
) -> None:
    # A reader of ELF files alone finds nothing wrong.
    read_elf(attack.artefact)
    with pytest.raises(GateRefusedError) as caught:
        replace(static_case(tmp_path, monkeypatch), binary=attack.artefact).prove()
    attack.assert_blocked_by(caught.value)


@each(
    *attacks(
        Kind.PROGRAM,
        "prove",
        {
            f"a library with {name}": (
                crafted([(STRTAB, start(2)), (tag, 0)], b"/opt/x.so\0"),
                f"{name} makes the loader load '/opt/x.so'",
            )
            for tag, name in ((AUDIT, "DT_AUDIT"), (AUXILIARY, "DT_AUXILIARY"))
        },
    )
)
def test_prove_rejects_other_ways_to_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack[bytes]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        replace(dynamic_case(tmp_path, monkeypatch), binary=attack.artefact).prove()
    attack.assert_blocked_by(caught.value)


RPATH = 15
FOLDERS = [
    "/opt",
    "/opt/lib",
    "lib",
    "/proc/1/root/lib",
    "/lib/../opt",
    "/home/nonroot/lib",
    "/libx",
    "$ORIGIN",
]
FOLDERS += [
    "$ORIGIN/../opt",
    "$ORIGIN/tmp",
    "$LIB",
    "/usr/local/lib",
    "//opt",
    "/LIB",
    "/run",
    "/proc/self/fd",
]


def searching(kind: str, folders: str) -> bytes:
    """Give a dynamic program that looks for libraries in other folders."""
    data = asset("runpath")
    old = b"$ORIGIN/lib:/opt/lib"
    assert data.count(old) == data.count(struct.pack("<Q", RUNPATH)) == 1
    data = data.replace(old, folders.encode().ljust(len(old), b"\0"))
    return data.replace(struct.pack("<Q", RUNPATH), struct.pack("<Q", RPATH if kind == "RPATH" else RUNPATH))


@each(
    *attacks(
        Kind.PROGRAM,
        "prove",
        {
            f"{kind} {folders}": (
                searching(kind, folders),
                f"{kind} {folder!r} is no folder of the system's libraries",
            )
            for kind in ("RPATH", "RUNPATH")
            for folders, folder in [(name, name) for name in FOLDERS] + [("/lib::/usr/lib", "")]
        },
    )
)
def test_prove_rejects_search_path_outside_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack[bytes]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        replace(dynamic_case(tmp_path, monkeypatch), binary=attack.artefact).prove()
    attack.assert_blocked_by(caught.value)
    assert len(refusals(caught.value)) == 1
