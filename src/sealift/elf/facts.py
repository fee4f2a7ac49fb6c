"""What an ELF file says of itself, read as the kernel and the dynamic loader read it.

They look at the program headers and never at the sections, which a program may have lost, so neither do
these facts.

    facts = read_elf(Path("dist/static/linux/amd64/health-caretaker"))
    print(facts.arch, facts.linkage, facts.needed)
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from elftools.common.utils import struct_parse
from elftools.elf.dynamic import Dynamic
from elftools.elf.elffile import ELFFile
from elftools.elf.segments import InterpSegment

from sealift.errors import UsageError

Kind = Literal["exec", "dyn"]
Endianness = Literal["little", "big"]

# (machine, bits, endianness) -> GOARCH; what is not here, Go does not build for on Linux.
ARCHITECTURES: Mapping[tuple[str, int, Endianness], str] = {
    ("EM_386", 32, "little"): "386",
    ("EM_X86_64", 64, "little"): "amd64",
    ("EM_ARM", 32, "little"): "arm",
    ("EM_AARCH64", 64, "little"): "arm64",
    ("EM_LOONGARCH", 64, "little"): "loong64",
    ("EM_MIPS", 32, "big"): "mips",
    ("EM_MIPS", 32, "little"): "mipsle",
    ("EM_MIPS", 64, "big"): "mips64",
    ("EM_MIPS", 64, "little"): "mips64le",
    ("EM_PPC64", 64, "big"): "ppc64",
    ("EM_PPC64", 64, "little"): "ppc64le",
    ("EM_RISCV", 64, "little"): "riscv64",
    ("EM_S390", 64, "big"): "s390x",
}

# How files begin that people take for Linux programs.
OTHER_FORMATS: Mapping[bytes, str] = {
    b"#!": "a script, which needs the interpreter that its first line names",
    b"MZ": "a Windows program",
    b"\xcf\xfa\xed\xfe": "a macOS program",
    b"\xca\xfe\xba\xbe": "a macOS program for several machines, or a Java class",
    b"!<arch>": "an archive of object files",
    b"\x1f\x8b": "a gzip file",
    b"PK": "a zip file",
}

KINDS: Mapping[str, Kind] = {"ET_EXEC": "exec", "ET_DYN": "dyn"}
# Flags of one version: a weak need may stay unmet; a base definition is the file's own name.
VERSION_IS_WEAK = 0x2
VERSION_IS_BASE = 0x1
# What no program or library comes near; a crafted one would keep a reader busy for minutes.
MAX_SEGMENTS = 256
MAX_SECTIONS = 65_536
MAX_TAGS = 4096
MAX_NEEDED = 512
# Nix writes a folder for each package into a search path.
MAX_STRING = 65_536
MAX_FOLDERS = 512
MAX_INTERPRETER = 4096
MAX_VERSIONS = 16_384


# Of the note NT_GNU_PROPERTY_TYPE_0, GNU_PROPERTY_X86_ISA_1_NEEDED: a bit for each level, the first every
# processor has. https://gitlab.com/x86-psABIs/x86-64-ABI
PROPERTIES, X86_ISA_NEEDED, GNU = 5, 0xC0008002, b"GNU\0"


@dataclass(frozen=True, kw_only=True)
class ElfFacts:
    """One program or shared library.

    ``instruction_set`` is the level that the loader demands of the processor (``x86-64-v3``), where the file
    says that it needs more than every processor has.
    """

    arch: str
    bits: int
    endianness: Endianness
    kind: Kind
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    soname: str | None = None
    required_versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    defined_versions: tuple[str, ...] = ()
    instruction_set: str | None = None

    @property
    def linkage(self) -> Literal["static", "dynamic"]:
        """Whether it starts alone; a static-pie relocates itself and still needs nothing."""
        return "static" if self.interpreter is None and not self.needed else "dynamic"


def read_elf(source: bytes | Path) -> ElfFacts:
    """Read the facts; anything but a whole ELF program or library raises UsageError."""
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), len(source), "the file")
    try:
        with source.open("rb") as stream:
            return _read(stream, source.stat().st_size, str(source))
    except OSError as err:
        raise UsageError(f"{source} cannot be read: {err.strerror}") from err


def _read(stream: IO[bytes], size: int, name: str) -> ElfFacts:
    start = stream.read(16)
    if not start.startswith(b"\x7fELF"):
        raise _not_elf(start, name)
    try:
        elf = ELFFile(stream)
        _check_counts(elf, name)
        _check_whole(elf, size, name)
        return _facts(elf, name)
    except UsageError:
        raise
    except Exception as err:  # pyelftools meets damage with many kinds of exception, few of its own
        raise UsageError(
            f"{name} is a damaged or cut off ELF file",
            means="it begins as a program, but its headers make no sense",
            next_step="build or fetch it again",
        ) from err


def _check_counts(elf: ELFFile, name: str) -> None:
    """Count before anything is walked: the number of sections may stand in one of them, in 64 bits."""
    _bounded(elf.num_segments(), MAX_SEGMENTS, "program headers", name)
    _bounded(elf.num_sections(), MAX_SECTIONS, "sections", name)


def _bounded(count: int, most: int, what: str, name: str) -> None:
    if count > most:
        raise UsageError(
            f"{name} has {count} {what}, more than {most}",
            means="no linker writes such a file; it was made to keep its readers busy, or to mislead them",
            next_step="build or fetch it again",
        )


def _check_whole(elf: ELFFile, size: int, name: str) -> None:
    for end in ends(elf):
        if end > size:
            raise UsageError(
                f"{name} is cut off: it has {size} bytes, its headers speak of {end}",
                means="it was not copied or written to its end",
                next_step="build or fetch it again",
            )


def _not_elf(start: bytes, name: str) -> UsageError:
    if not start:
        return UsageError(f"{name} is empty", next_step="build or fetch it again")
    known = next((words for magic, words in OTHER_FORMATS.items() if start.startswith(magic)), "")
    return UsageError(
        f"{name} is not a Linux program" + (f": it looks like {known}" if known else ""),
        means="Linux starts ELF files, which begin with 7f 45 4c 46; this one begins with "
        + start[:4].hex(" "),
    )


def ends(elf: ELFFile) -> Iterator[int]:
    """Say how long the file must be to hold each thing that its headers name."""
    header = elf.header
    yield header["e_shoff"] + header["e_shnum"] * header["e_shentsize"]
    for segment in elf.iter_segments():
        yield segment["p_offset"] + segment["p_filesz"]
    for section in elf.iter_sections():
        if section["sh_type"] not in ("SHT_NOBITS", "SHT_NULL"):
            yield section["sh_offset"] + section["sh_size"]


def _facts(elf: ELFFile, name: str) -> ElfFacts:
    machine, bits = elf.header["e_machine"], elf.elfclass
    endianness: Endianness = "little" if elf.little_endian else "big"
    arch = ARCHITECTURES.get((machine, bits, endianness))
    if arch is None:
        raise UsageError(
            f"{name} is for a machine that Go does not know: {machine}, {bits} bits, {endianness}"
        )
    kind = KINDS.get(elf.header["e_type"])
    if kind is None:
        raise UsageError(
            f"{name} is neither a program nor a library: its ELF type is {elf.header['e_type']}",
            means="an object file must be linked before it can be started",
        )
    for one in ("PT_INTERP", "PT_DYNAMIC"):
        _bounded(sum(1 for _ in elf.iter_segments(one)), 1, f"headers {one}", name)
    segments = [s for s in elf.iter_segments() if isinstance(s, InterpSegment)]
    for segment in segments:
        _bounded(segment["p_filesz"], MAX_INTERPRETER, "bytes in the name of its interpreter", name)
    interpreters = [segment.get_interp_name() for segment in segments]
    table = _Table.of(elf, name)
    return ElfFacts(
        arch=arch,
        bits=bits,
        endianness=endianness,
        kind=kind,
        interpreter=interpreters[0] if interpreters else None,
        needed=table.strings("DT_NEEDED"),
        rpath=_folders(table.strings("DT_RPATH"), name),
        runpath=_folders(table.strings("DT_RUNPATH"), name),
        soname=next(iter(table.strings("DT_SONAME")), None),
        required_versions=table.required_versions(),
        defined_versions=table.defined_versions(),
        instruction_set=_instruction_set(elf),
    )


def _instruction_set(elf: ELFFile) -> str | None:
    order: Literal["little", "big"] = "little" if elf.little_endian else "big"
    levels = 0
    for segment in elf.iter_segments("PT_NOTE"):
        data, align = segment.data(), max(4, segment["p_align"])
        at = 0
        while at + 12 <= len(data):
            name, size, kind = (int.from_bytes(data[at + n : at + n + 4], order) for n in (0, 4, 8))
            start = at + 12 + -(-name // 4) * 4
            if kind == PROPERTIES and data[at + 12 : at + 12 + name] == GNU:
                levels |= _needed_levels(data[start : start + size], elf.elfclass // 8, order)
            at = -(-(start + size) // align) * align
    return f"x86-64-v{levels.bit_length()}" if levels > 1 else None


def _needed_levels(properties: bytes, align: int, order: Literal["little", "big"]) -> int:
    at = levels = 0
    while at + 8 <= len(properties):
        kind, size = (int.from_bytes(properties[at + n : at + n + 4], order) for n in (0, 4))
        if kind == X86_ISA_NEEDED:
            levels |= int.from_bytes(properties[at + 8 : at + 8 + size], order)
        at += 8 + -(-size // align) * align
    return levels


def dynamic_strings(elf: ELFFile, tag: str) -> tuple[str, ...]:
    """Return the strings of one kind in the dynamic table of a file whose facts could be read."""
    return _Table.of(elf, "the file").strings(tag)


def _folders(paths: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Split search paths; the loader takes an empty folder for the one in which the program was started."""
    folders = tuple(folder for path in paths if path for folder in path.split(":"))
    _bounded(len(folders), MAX_FOLDERS, "folders to search", name)
    return folders


class _Table:
    """The dynamic table: tags by name, and the file offsets they lead to."""

    def __init__(self, elf: ELFFile, tags: list[tuple[str, int]], name: str) -> None:
        self._elf = elf
        self._tags = tags
        self._name = name
        self._steps = 0
        for tag, most in (("DT_NEEDED", MAX_NEEDED), ("DT_RPATH", 1), ("DT_RUNPATH", 1), ("DT_SONAME", 1)):
            _bounded(sum(found == tag for found, _ in tags), most, f"entries {tag}", name)

    @classmethod
    def of(cls, elf: ELFFile, name: str) -> _Table:
        segment = next(iter(elf.iter_segments("PT_DYNAMIC")), None)
        if segment is None or segment["p_filesz"] == 0:
            return cls(elf, [], name)
        dynamic = Dynamic(elf.stream, elf, None, segment["p_offset"], empty=False)
        # iter_tags would insist on strings we may not need.
        raw = list(itertools.islice(dynamic._iter_tags(), MAX_TAGS + 1))  # noqa: SLF001
        _bounded(len(raw), MAX_TAGS, "entries in its dynamic table", name)
        return cls(elf, [(tag["d_tag"], tag["d_val"]) for tag in raw], name)

    def strings(self, tag: str) -> tuple[str, ...]:
        return tuple(self._string(value) for name, value in self._tags if name == tag)

    def required_versions(self) -> dict[str, tuple[str, ...]]:
        """Return the versions that must be there, by the library that must define them."""
        found: dict[str, tuple[str, ...]] = {}
        for offset, entry in self._chain("DT_VERNEED", self._elf.structs.Elf_Verneed, "vn_next"):
            auxiliary = self._follow(offset + entry["vn_aux"], self._elf.structs.Elf_Vernaux, "vna_next")
            names = [
                self._string(aux["vna_name"])
                for _, aux in auxiliary
                if not aux["vna_flags"] & VERSION_IS_WEAK
            ]
            library = self._string(entry["vn_file"])
            found[library] = found.get(library, ()) + tuple(sorted(names))
        return found

    def defined_versions(self) -> tuple[str, ...]:
        names = []
        for offset, entry in self._chain("DT_VERDEF", self._elf.structs.Elf_Verdef, "vd_next"):
            first = struct_parse(self._elf.structs.Elf_Verdaux, self._elf.stream, offset + entry["vd_aux"])
            if not entry["vd_flags"] & VERSION_IS_BASE:
                names.append(self._string(first["vda_name"]))
        return tuple(sorted(names))

    def _chain(self, tag: str, struct: Any, link: str) -> Iterator[tuple[int, Any]]:
        offset = self._offset(tag)
        return iter(()) if offset is None else self._follow(offset, struct, link)

    def _follow(self, offset: int, struct: Any, link: str) -> Iterator[tuple[int, Any]]:
        """Walk a list whose entries say how far the next one is; the loader goes by that, not by counts."""
        while True:
            self._steps += 1
            _bounded(self._steps, MAX_VERSIONS, "entries in its tables of versions", self._name)
            entry = struct_parse(struct, self._elf.stream, offset)
            yield offset, entry
            if entry[link] == 0:
                return
            # Entries that overlap could be walked byte by byte.
            if entry[link] < struct.sizeof():
                raise ValueError("two entries of a table of versions overlap")
            offset += entry[link]

    def _offset(self, tag: str) -> int | None:
        address = next((value for name, value in self._tags if name == tag), None)
        return None if address is None else next(self._elf.address_offsets(address))

    def _string(self, offset: int) -> str:
        table = self._offset("DT_STRTAB")
        if table is None:
            raise ValueError("there is no table of strings")
        self._elf.stream.seek(table + offset)
        raw, end, _ = self._elf.stream.read(MAX_STRING + 1).partition(b"\0")
        if not end:
            raise ValueError("a string lies outside the file, or has no end")
        return raw.decode()
