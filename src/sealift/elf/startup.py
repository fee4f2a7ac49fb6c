"""Why a file would not start in an image, in the order in which the kernel and the loader would say it.

file = look(Path("dist/base/linux/amd64/health-caretaker"))
for reason in why_not(file, rootfs, platform):
    print(reason.error, reason.why, reason.remedy)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sealift.elf.closure import Closure, resolve
from sealift.elf.facts import OTHER_FORMATS, ElfFacts, read_elf
from sealift.elf.gobuild import build_settings
from sealift.elf.rootfs import Rootfs
from sealift.errors import UsageError
from sealift.model.names import Platform
from sealift.tools.go import ZIG

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
GLIBC: Mapping[str, tuple[int, int]] = {"debian12": (2, 36), "debian13": (2, 41)}
GLIBC_OF_BASES = "debian12 has glibc 2.36, debian13 has 2.41"
GLIBC_VERSION = re.compile(r"GLIBC_(\d+)\.(\d+)")
# The machines that distroless has images for, and where glibc's loader is on each:
# https://sourceware.org/glibc/wiki/ABIList
LOADERS: Mapping[str, str] = {
    "amd64": "/lib64/ld-linux-x86-64.so.2",
    "arm64": "/lib/ld-linux-aarch64.so.1",
    "arm": "/lib/ld-linux-armhf.so.3",
    "ppc64le": "/lib64/ld64.so.2",
    "riscv64": "/lib/ld-linux-riscv64-lp64d.so.1",
    "s390x": "/lib/ld64.so.1",
}
# Whose loaders lie where no other system has them.
STORES: Mapping[str, str] = {
    "/nix/store/": "Nix",
    "/gnu/store/": "Guix",
    "/snap/": "a snap",
    "/home/linuxbrew/": "Homebrew",
    "/system/bin/": "Android",
    "/app/": "a flatpak",
}


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is wrong: what is printed, what it means, and what helps."""

    error: str
    why: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that is to be started; without ``facts`` it is no whole ELF file.

    ``go`` are the settings that Go built it with, empty where another compiler did.
    """

    path: Path
    mode: int
    start: bytes
    facts: ElfFacts | None
    damage: UsageError | None = None
    go: Mapping[str, str] = field(default_factory=dict)


def look(path: Path) -> File:
    """Read one file as far as its start depends on it."""
    try:
        mode = path.stat().st_mode & 0o7777
        with path.open("rb") as stream:
            start = stream.read(4096)
    except OSError as err:
        raise UsageError(f"{path} cannot be read: {err.strerror}") from err
    try:
        facts = read_elf(path)
        return File(path=path, mode=mode, start=start, facts=facts, go=build_settings(path.read_bytes()))
    except UsageError as err:
        return File(path=path, mode=mode, start=start, facts=None, damage=err)


def why_not(file: File, rootfs: Rootfs, platform: Platform | None) -> tuple[Reason, ...]:
    """Return everything that keeps a file from starting; ``platform`` is the image's, None any."""
    if file.facts is not None:
        wrong = _program(file, file.facts, rootfs, platform)
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


def _program(file: File, facts: ElfFacts, rootfs: Rootfs, platform: Platform | None) -> Iterator[Reason]:
    arch = facts.arch if platform is None else platform.arch
    if facts.arch != arch and (facts.arch, arch) not in ALSO_STARTS:
        yield Reason(
            error=EXEC_FORMAT,
            why=f"it is for linux/{facts.arch}, the image is for {platform}",
            remedy=f"build it with GOARCH={arch}, or take the image for --platform linux/{facts.arch}",
        )
        return
    closure = resolve(facts, rootfs, program=f"/{file.path.name}")
    if facts.interpreter is None and facts.needed:
        yield Reason(
            error=CRASH,
            why=f"it names no interpreter that would load {', '.join(facts.needed)}: it is a library",
            remedy="build a program: go build without -buildmode=c-shared",
        )
    elif not closure.interpreter_found:
        yield _no_interpreter(file, facts, closure, rootfs)
    else:
        yield from _libraries(file, facts, closure, rootfs)


def static_build(file: File) -> str:
    """Say how a program like this one becomes one that needs no loader."""
    if file.go.get("CGO_ENABLED") != "0":
        return "build it with CGO_ENABLED=0, so that it is static and needs none"
    # Without cgo already: position-independent, or linked by the C compiler.
    return "build it without -buildmode=pie and -linkmode=external, so that it is static and needs none"


def home_of(interpreter: str) -> str:
    """Name what a loader belongs to that is on no distroless base; nothing for glibc's own places."""
    for place, name in STORES.items():
        if interpreter.startswith(place):
            return name
    return "musl (Alpine)" if "musl" in interpreter else "uClibc" if "uClibc" in interpreter else ""


def needed_glibc(facts: ElfFacts) -> tuple[int, int]:
    """Return the newest glibc whose symbols a program needs, (0, 0) where it needs none."""
    versions = [v for names in facts.required_versions.values() for v in names]
    found = [(int(m[1]), int(m[2])) for v in versions if (m := GLIBC_VERSION.match(v))]
    return max(found, default=(0, 0))


def _no_interpreter(file: File, facts: ElfFacts, closure: Closure, rootfs: Rootfs) -> Reason:
    name, standard = closure.interpreter or "", LOADERS.get(facts.arch)
    unusable = next((skipped.why for skipped in closure.skipped if skipped.path == name), None)
    why = f"the file is there, its interpreter {name} is not"
    if unusable is not None:
        why = f"the file is there, its interpreter {name} cannot be used: it {unusable}"
    elif not name.startswith("/"):
        why += ": it is no absolute path, and is looked for in the working folder"
    elif closure.missing:
        why += f", nor {', '.join(library.name for library in closure.missing)}"
    remedy, home = f"{static_build(file)}; or ", home_of(name)
    if standard is None:
        remedy = f"{static_build(file)}: no distroless base is for linux/{facts.arch}"
    elif "musl" in name:
        remedy += "against glibc for distroless base: this one was built for musl (Alpine)"
    elif name != standard:
        whose = f", which is {home}'s" if home else ""
        has = ", which this image has" if rootfs.resolve(standard) is not None else ""
        remedy += (
            f"link it with glibc's own loader {standard}{has}, and not with {name}{whose}; in a finished "
            f"program: patchelf --set-interpreter {standard} --remove-rpath {file.path.name}"
        )
    elif unusable is not None:
        remedy += f"take an image whose {name} is for linux/{facts.arch}"
    else:
        remedy += "take the base variant (distroless base), which has glibc and its loader"
        if (needed := needed_glibc(facts)) > max(GLIBC.values()):
            remedy += f"; but glibc {needed[0]}.{needed[1]}, which it needs, is newer than any base's"
    return Reason(error=NO_SUCH_FILE, why=why, remedy=remedy)


def _libraries(file: File, facts: ElfFacts, closure: Closure, rootfs: Rootfs) -> Iterator[Reason]:
    for library in closure.missing:
        why = f"{library.needed_by} needs {library.name}, which is in no folder that the loader searches"
        for skipped in closure.skipped:
            if skipped.path.endswith(f"/{library.name}"):
                why += f"; {skipped.path} cannot be used: it {skipped.why}"
        absent = [folder for folder in facts.runpath or facts.rpath if _is_absent(folder, rootfs)]
        if absent:
            why += f"; the image has no {', '.join(absent)}, where the program looks first (RUNPATH)"
        yield Reason(
            error=f"error while loading shared libraries: {library.name}",
            why=why,
            remedy=_remedy_of_missing(file, library.name, closure, rootfs),
        )
    for symbol in closure.missing_versions:
        yield Reason(
            error=f"version `{symbol.version}' not found",
            why=f"{symbol.needed_by} was linked against a newer {symbol.library} than the image has",
            remedy=_remedy_of_version(facts, symbol.library, symbol.version, rootfs, closure),
        )


def _is_absent(folder: str, rootfs: Rootfs) -> bool:
    return folder.startswith("/") and rootfs.resolve(folder) is None


def _remedy_of_missing(file: File, name: str, closure: Closure, rootfs: Rootfs) -> str:
    static = static_build(file).partition(", so that")[0]
    if "musl" in name:
        return f"{static}, or link it against glibc: {name} is musl's (Alpine)"
    tried = {skipped.path for skipped in closure.skipped}
    there = [
        entry.path
        for entry in rootfs.entries()
        if entry.kind != "dir" and entry.path.endswith(f"/{name}") and entry.path not in tried
    ]
    if there:
        folder = there[0].rpartition("/")[0]
        return f"the image has {there[0]}: link the program with -Wl,-rpath,{folder}; or {static}"
    return f"{static}, or link the library statically, or put it into the image"


def _remedy_of_version(facts: ElfFacts, library: str, version: str, rootfs: Rootfs, closure: Closure) -> str:
    wanted = GLIBC_VERSION.fullmatch(version)
    if wanted is None:
        return (
            f"link it on a system whose {library} is the image's; zig cc takes an older glibc, "
            "and other libraries as they are"
        )
    here = _glibc_of(rootfs, closure) or GLIBC["debian12"]
    target = f"{ZIG.get(facts.arch, 'x86_64-linux-gnu')}.{here[0]}.{here[1]}"
    older = f"link it against an older glibc (zig cc -target {target})"
    needed = int(wanted[1]), int(wanted[2])
    newer = [suite for suite, has in GLIBC.items() if has >= needed and has > here]
    if newer:
        return f"{older}, or take a newer base: {newer[0]} has glibc {'.'.join(map(str, GLIBC[newer[0]]))}"
    return f"{older}: no distroless base has GLIBC_{needed[0]}.{needed[1]} ({GLIBC_OF_BASES})"


def _glibc_of(rootfs: Rootfs, closure: Closure) -> tuple[int, int] | None:
    """Return the version of an image's glibc; its other libraries stay at older ones."""
    path = next((found.path for found in closure.found if found.name == "libc.so.6"), None)
    defined = () if path is None else read_elf(rootfs.read(path)).defined_versions
    found = [(int(m[1]), int(m[2])) for version in defined if (m := GLIBC_VERSION.fullmatch(version))]
    return max(found, default=None)
