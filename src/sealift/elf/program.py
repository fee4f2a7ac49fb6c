"""Whether a program is one that Go's linker wrote, and loads nothing from where others may write.

Build info alone proves nothing: it is some text that can be put into any file. A program that Go linked has
its code, the table of its functions and its build info in sections of their own, mapped where their addresses
say, and the table covers the code. One that unpacks itself has none of that: its code is not there yet.

    for reason in odd_program(path, cgo=False):
        print(reason)
"""

from __future__ import annotations

import itertools
import posixpath
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section

from sealift.elf.facts import ElfFacts, dynamic_strings, ends
from sealift.elf.gobuild import MAGIC

# Where the systems of our bases have their libraries, which only root may write to.
SYSTEM = re.compile(r"(?:/usr)?/lib(?:32|64|x32)?(?:/[\w.+-]+)*")
# What makes the loader take code from other files than the needed ones.
LOADS_MORE = ("DT_AUDIT", "DT_DEPAUDIT", "DT_AUXILIARY", "DT_FILTER", "DT_CONFIG")
TABLES = (".gopclntab", ".data.rel.ro.gopclntab")
# Of Go 1.20 and of Go 1.18; older ones are not built with.
TABLE_MAGIC = (0xFFFFFFF1, 0xFFFFFFF0)
# Without cgo all code is Go's, but for what aligns it; C may be most of the rest, but Go's runtime is there.
LEAST_COVERED = {False: 0.8, True: 0.02}
_WRITE, _EXECUTE = 2, 1


def in_system(path: str) -> bool:
    """Tell whether a library lies where the system's do."""
    return SYSTEM.fullmatch(posixpath.dirname(path)) is not None


def odd_folders(facts: ElfFacts, folder: str = "/") -> Iterator[str]:
    """Say which folders a program lets its loader search that are no system's; ``folder`` is its own."""
    for kind, folders in (("RPATH", facts.rpath), ("RUNPATH", facts.runpath)):
        for text in folders:
            path = re.sub(r"\$(?:ORIGIN\b|\{ORIGIN\})", folder, text)
            plain = posixpath.normpath(path).replace("//", "/") if path else ""
            if ".." in path.split("/") or not SYSTEM.fullmatch(plain):
                yield f"{kind} {text!r} is no folder of the system's libraries"


def odd_program(path: Path, *, cgo: bool) -> Iterator[str]:
    """Say what no linker of Go writes; the file is one whose facts could be read."""
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        try:
            yield from _odd(elf, path.stat().st_size, cgo)
        except Exception as err:  # noqa: BLE001 - pyelftools meets damage with many kinds of exception
            yield f"its sections make no sense: {type(err).__name__}: {str(err)[:200]}"


def _odd(elf: ELFFile, size: int, cgo: bool) -> Iterator[str]:
    segments = list(elf.iter_segments())
    loaded = [s for s in segments if s["p_type"] == "PT_LOAD"]
    for segment in segments:
        kind, flags = segment["p_type"], segment["p_flags"]
        if kind in ("PT_LOAD", "PT_GNU_STACK") and flags & _WRITE and flags & _EXECUTE:
            yield f"memory at {segment['p_vaddr']:#x} is writable and executable"
        if kind == "PT_GNU_STACK" and flags & _EXECUTE:
            yield "its stack is executable"
    if not any(segment["p_type"] == "PT_GNU_STACK" for segment in segments):
        yield "its stack may be executable, for nothing says that it is not"
    for below, above in itertools.pairwise(loaded):
        if above["p_vaddr"] < below["p_vaddr"] + below["p_memsz"]:
            yield f"two segments overlap in memory at {above['p_vaddr']:#x}"
    for tag in LOADS_MORE:
        for name in dynamic_strings(elf, tag):
            yield f"{tag} makes the loader load {name!r}"
    if (end := max(ends(elf))) != size:
        yield f"{size - end} bytes follow what its headers name"
    yield from _odd_sections(elf, loaded, cgo)


def _odd_sections(elf: ELFFile, loaded: list[Any], cgo: bool) -> Iterator[str]:
    sections: dict[str, list[Section]] = {}
    for section in elf.iter_sections():
        sections.setdefault(section.name, []).append(section)
    table = next((name for name in TABLES if name in sections), TABLES[0])
    found = {}
    for name in (".text", table, ".go.buildinfo"):
        if len(there := sections.get(name, [])) != 1:
            yield f"it has {len(there)} sections {name}, not one, as Go's linker writes it"
        elif not any(_maps(segment, there[0]) for segment in loaded):
            yield f"its section {name} is not mapped into memory where its address says"
        elif there[0].compressed:
            yield f"its section {name} is compressed, and would be run as it is"
        else:
            found[name] = there[0]
    # Big PowerPC is entered through the address of a descriptor.
    described = elf.header["e_machine"] == "EM_PPC64" and not elf.little_endian
    if ".text" in found and not described and not _holds(found[".text"], elf.header["e_entry"]):
        yield f"it is entered at {elf.header['e_entry']:#x}, outside of its code"
    if ".go.buildinfo" in found and not found[".go.buildinfo"].data().startswith(MAGIC):
        yield "its section .go.buildinfo does not begin as build info does"
    if ".text" in found and table in found:
        covered = _covered(elf, found[table].data())
        code = found[".text"]["sh_size"]
        if not LEAST_COVERED[cgo] * code <= covered <= code:
            yield f"its table of functions covers {covered} of {code} bytes of code"


def _maps(segment: Any, section: Section) -> bool:
    begin, address = section["sh_offset"] - segment["p_offset"], section["sh_addr"] - segment["p_vaddr"]
    size = section["sh_size"]
    return bool(begin == address >= 0 and 0 < size <= segment["p_filesz"] - begin)


def _holds(section: Section, address: int) -> bool:
    return bool(section["sh_addr"] <= address < section["sh_addr"] + section["sh_size"])


def _covered(elf: ELFFile, table: bytes) -> int:
    """Return how many bytes of code a table of functions is about: runtime/symtab.go, ``pcHeader``."""
    order = "<" if elf.little_endian else ">"
    magic, pad, quantum, pointer = struct.unpack_from(f"{order}IHBB", table, 0)
    if magic not in TABLE_MAGIC or pad or quantum not in (1, 2, 4) or pointer * 8 != elf.elfclass:
        return 0
    words = struct.unpack_from(f"{order}8{'Q' if pointer == 8 else 'I'}", table, 8)  # noqa: PLR2004
    functions, at = words[0], words[7]
    if not functions or at + 8 * functions + 4 > len(table):
        return 0
    return int(struct.unpack_from(f"{order}I", table, at + 8 * functions)[0])
