"""Why a file would not start in an image, in the order in which the kernel and the loader would say it.

file = look(Path("dist/base/linux/amd64/health-caretaker"))
for reason in why_not(file, rootfs, platform):
    print(reason.error, reason.why, reason.remedy)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sealift.elf.closure import Closure, resolve
from sealift.elf.facts import OTHER_FORMATS, ElfFacts, read_elf
from sealift.elf.rootfs import Rootfs
from sealift.errors import UsageError
from sealift.model.names import Platform

NO_SUCH_FILE = "no such file or directory"
EXEC_FORMAT = "exec format error"
DENIED = "permission denied"
CRASH = "segmentation fault"

# An amd64 kernel starts 386 programs too; other pairs depend on the processor.
ALSO_STARTS = frozenset({("386", "amd64")})
FOR_LINUX = "build it for Linux: GOOS=linux go build"
# What turns a file that is no Linux program into one, by how it begins.
REMEDIES: Mapping[bytes, str] = {
    b"MZ": FOR_LINUX,
    b"\xcf\xfa\xed\xfe": FOR_LINUX,
    b"\xca\xfe\xba\xbe": FOR_LINUX,
    b"!<arch>": "build a package main: of any other, go build makes an archive",
    b"\x1f\x8b": "unpack it first",
    b"PK": "unpack it first",
}
# https://packages.debian.org/search?keywords=libc6
GLIBC_OF_BASES = "debian12 has glibc 2.36, debian13 has 2.41"


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is wrong: what is printed, what it means, and what helps."""

    error: str
    why: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that someone wants to start; without ``facts`` it is no whole ELF file."""

    path: Path
    mode: int
    start: bytes
    facts: ElfFacts | None
    damage: UsageError | None = None


def look(path: Path) -> File:
    """Read one file as far as its start depends on it."""
    try:
        mode = path.stat().st_mode & 0o7777
        with path.open("rb") as stream:
            start = stream.read(4096)
    except OSError as err:
        raise UsageError(f"{path} cannot be read: {err.strerror}") from err
    try:
        return File(path=path, mode=mode, start=start, facts=read_elf(path))
    except UsageError as err:
        return File(path=path, mode=mode, start=start, facts=None, damage=err)


def why_not(file: File, rootfs: Rootfs, platform: Platform | None) -> tuple[Reason, ...]:
    """Return everything that keeps a file from starting; ``platform`` is the image's, None any."""
    if file.facts is not None:
        wrong = _program(file.facts, rootfs, platform, f"/{file.path.name}")
    elif file.start.startswith(b"#!"):
        wrong = _script(file.start, rootfs)
    else:
        wrong = iter([_no_program(file)])
    return (*_permission(file.mode), *wrong)


def _permission(mode: int) -> Iterator[Reason]:
    if not mode & 0o111:
        why = f"its mode {mode:04o} lets nobody execute it"
    elif not mode & 0o001:
        why = f"its mode {mode:04o} does not let user 65532 execute it, as whom distroless starts it"
    else:
        return
    yield Reason(error=DENIED, why=why, remedy="chmod 0755, or COPY --chmod=0755 in the Dockerfile")


def _no_program(file: File) -> Reason:
    why, remedy = "the file is empty", "build it again"
    known = next((magic for magic in REMEDIES if file.start.startswith(magic)), None)
    if known is not None:
        why, remedy = f"it looks like {OTHER_FORMATS[known]}", REMEDIES[known]
    elif file.start.startswith(b"\x7fELF") and file.damage is not None:
        why = "; ".join(filter(None, (file.damage.happened, file.damage.means)))
        remedy = file.damage.next_step or "link it, for a platform that Go knows"
    elif file.start and b"\0" not in file.start:
        why = "it is text whose first line does not say which interpreter reads it (#!)"
        remedy = "write that line, on a base that has the interpreter; distroless has none: ship a program"
    elif file.start:
        why = (
            f"Linux starts ELF files, which begin with 7f 45 4c 46; it begins with {file.start[:4].hex(' ')}"
        )
    return Reason(error=EXEC_FORMAT, why=why, remedy=remedy)


def _script(start: bytes, rootfs: Rootfs) -> Iterator[Reason]:
    """Read the first line as the kernel does, to which a carriage return is part of the name."""
    name = re.split(rb"[ \t]", start[2:].partition(b"\n")[0].strip(b" \t"))[0].decode(errors="replace")
    entry = rootfs.resolve(name) if name.startswith("/") else None
    error, why = NO_SUCH_FILE, f"it is a script for {name}, which is not in the image"
    remedy = "distroless has no shell and no interpreter: ship a program"
    if entry is not None and entry.kind == "file":
        return
    if not name:
        error, why = EXEC_FORMAT, "its first line (#!) names no interpreter"
    elif name.endswith("\r"):
        why = f"it is a script for {name[:-1]} whose first line ends with CR LF, as Windows writes it"
        remedy = "end its lines with LF alone"
    yield Reason(error=error, why=why, remedy=remedy)


def _program(facts: ElfFacts, rootfs: Rootfs, platform: Platform | None, program: str) -> Iterator[Reason]:
    arch = facts.arch if platform is None else platform.arch
    if facts.arch != arch and (facts.arch, arch) not in ALSO_STARTS:
        yield Reason(
            error=EXEC_FORMAT,
            why=f"it is for linux/{facts.arch}, the image is for {platform}",
            remedy=f"build it with GOARCH={arch}, or take the image for --platform linux/{facts.arch}",
        )
        return
    closure = resolve(facts, rootfs, program=program)
    if facts.interpreter is None and facts.needed:
        yield Reason(
            error=CRASH,
            why=f"it names no interpreter that would load {', '.join(facts.needed)}: it is a library",
            remedy="build a program: go build without -buildmode=c-shared",
        )
    elif not closure.interpreter_found:
        yield _no_interpreter(closure)
    else:
        yield from _libraries(closure)


def _no_interpreter(closure: Closure) -> Reason:
    name = closure.interpreter or ""
    unusable = next((file.why for file in closure.skipped if file.path == name), None)
    why = f"the file is there, its interpreter {name} is not"
    if unusable is not None:
        why = f"the file is there, its interpreter {name} cannot be used: it {unusable}"
    elif closure.missing:
        why += f", nor {', '.join(library.name for library in closure.missing)}"
    remedy = "build it with CGO_ENABLED=0, so that it is static and needs none; or "
    if "musl" in name:
        remedy += "against glibc for distroless base: this one was built for musl (Alpine)"
    else:
        remedy += "take the base variant (distroless base), which has glibc and its loader"
    return Reason(error=NO_SUCH_FILE, why=why, remedy=remedy)


def _libraries(closure: Closure) -> Iterator[Reason]:
    for library in closure.missing:
        why = f"{library.needed_by} needs {library.name}, which is in no folder that the loader searches"
        for file in closure.skipped:
            if file.path.endswith(f"/{library.name}"):
                why += f"; {file.path} cannot be used: it {file.why}"
        yield Reason(
            error=f"error while loading shared libraries: {library.name}",
            why=why,
            remedy="build it with CGO_ENABLED=0, or link the library statically, or put it into the image",
        )
    for symbol in closure.missing_versions:
        yield Reason(
            error=f"version `{symbol.version}' not found",
            why=f"{symbol.needed_by} was linked against a newer {symbol.library} than the image has",
            remedy="link it against an older glibc (zig cc -target x86_64-linux-gnu.2.36), "
            f"or take a newer base: {GLIBC_OF_BASES}",
        )
