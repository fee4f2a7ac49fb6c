"""Whether a program can be started in an image: its loader, its libraries, their symbol versions.

This walks as glibc's loader walks, over the image's own files and never this machine's. The folders it
searches are read from the image's loader, which holds them as text; /etc/ld.so.conf is not asked, because
the loader does not ask it either: it is ldconfig that turns it into /etc/ld.so.cache.

    closure = resolve(read_elf(path), Rootfs.from_layout(layout, manifest))
    if not closure.complete:
        print(closure.missing, closure.missing_versions)
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from sealift.elf.facts import ElfFacts, read_elf
from sealift.elf.ldcache import read_cache
from sealift.elf.rootfs import Rootfs
from sealift.errors import UsageError

# The folders stand one after the other in the loader, each with a slash and a NUL at its end.
SYSTEM_FOLDERS = re.compile(rb"(?<![\w/.-])(?:/[\w+.-]+(?:/[\w+.-]+)*/\x00){2,}")
# Where there is no loader to say, what every one searches, and Debian's folders for each machine.
FALLBACK_FOLDERS = ("/lib", "/usr/lib")
MULTIARCH = re.compile(r"(/usr)?/lib/[a-z0-9_]+-linux-[a-z0-9_]+")
# What a program may write for a folder; the loader wants no end of word after it.
TOKEN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM))")


@dataclass(frozen=True, kw_only=True)
class FoundLibrary:
    """A library that the loader would load, by the name that asked for it and its real path."""

    name: str
    path: str


@dataclass(frozen=True, kw_only=True)
class MissingLibrary:
    """A library that is nowhere the loader looks."""

    name: str
    needed_by: str


@dataclass(frozen=True, kw_only=True)
class MissingVersion:
    """A symbol version that the library in the image does not define."""

    library: str
    version: str
    needed_by: str


@dataclass(frozen=True, kw_only=True)
class SkippedFile:
    """A file of the right name that the loader cannot use, and why; at some it gives up."""

    path: str
    why: str
    ends_search: bool = False


@dataclass(frozen=True, kw_only=True)
class Closure:
    """Everything a program needs from an image, found or not."""

    found: tuple[FoundLibrary, ...]
    missing: tuple[MissingLibrary, ...]
    missing_versions: tuple[MissingVersion, ...]
    skipped: tuple[SkippedFile, ...]
    interpreter: str | None
    interpreter_found: bool

    @property
    def complete(self) -> bool:
        """Whether the program can be started."""
        return self.interpreter_found and not self.missing and not self.missing_versions


@dataclass(frozen=True, kw_only=True)
class _Object:
    """A program or library in memory: its real path, the folder it was found in, and who asked for it."""

    name: str
    path: str
    folder: str
    facts: ElfFacts
    asker: _Object | None = None


def resolve(facts: ElfFacts, rootfs: Rootfs, *, program: str = "/program") -> Closure:
    """Find what a program needs in an image, in which it would lie at the path ``program``."""
    return _Loader(facts, rootfs, program).load()


class _Loader:
    """The loader's walk, breadth first, each library once."""

    def __init__(self, facts: ElfFacts, rootfs: Rootfs, program: str) -> None:
        self._rootfs = rootfs
        self._program = _Object(name=program, path=program, folder=posixpath.dirname(program), facts=facts)
        self._loaded = [self._program]
        self._names: dict[str, _Object | None] = {}
        self._found: list[FoundLibrary] = []
        self._missing: list[MissingLibrary] = []
        self._skipped: list[SkippedFile] = []
        self._interpreter = self._load_interpreter()
        self._system_folders = self._folders_of(self._interpreter)
        self._cache = read_cache(rootfs, facts.endianness)

    def load(self) -> Closure:
        wanted = self._program.facts
        queue = deque((name, self._program) for name in wanted.needed)
        while queue:
            name, asker = queue.popleft()
            library = self._load(name, asker)
            if library is not None:
                queue.extend((needed, library) for needed in library.facts.needed)
        return Closure(
            found=tuple(self._found),
            missing=tuple(self._missing),
            missing_versions=tuple(self._missing_versions()),
            skipped=tuple(self._skipped),
            interpreter=wanted.interpreter,
            interpreter_found=self._interpreter is not None or wanted.linkage == "static",
        )

    def _load_interpreter(self) -> _Object | None:
        path = self._program.facts.interpreter
        interpreter = None if path is None else self._open(path, path, None)
        if isinstance(interpreter, _Object):
            self._keep(interpreter)
            return interpreter
        if interpreter is not None:
            self._skipped.append(interpreter)
        return None

    def _folders_of(self, interpreter: _Object | None) -> tuple[str, ...]:
        if interpreter is not None:
            folders = SYSTEM_FOLDERS.search(self._rootfs.read(interpreter.path))
            if folders is not None:
                return tuple(folder.rstrip("/") for folder in folders[0].decode().split("\0") if folder)
        debian = (entry.path for entry in self._rootfs.entries() if entry.kind == "dir")
        return (*(path for path in debian if MULTIARCH.fullmatch(path)), *FALLBACK_FOLDERS)

    def _load(self, name: str, asker: _Object) -> _Object | None:
        """Return the library that a name newly brings in; None where it is in memory, or missing."""
        if name in self._names:
            return None
        library = self._search(name, asker)
        self._names[name] = library
        if library is None:
            self._missing.append(MissingLibrary(name=name, needed_by=asker.name))
            return None
        if library in self._loaded:
            return None  # one file under two names
        self._found.append(FoundLibrary(name=name, path=library.path))
        self._keep(library)
        return library

    def _keep(self, library: _Object) -> None:
        self._loaded.append(library)
        for name in (library.name, library.facts.soname):
            if name is not None:
                self._names.setdefault(name, library)

    def _search(self, name: str, asker: _Object) -> _Object | None:
        for path in self._candidates(name, asker):
            match self._open(path, name, asker):
                case _Object() as library:
                    return next((one for one in self._loaded if one.path == library.path), library)
                case SkippedFile() as skipped:
                    self._skipped.append(skipped)
                    if skipped.ends_search:
                        return None
        return None

    def _candidates(self, name: str, asker: _Object) -> Iterator[str]:
        """Yield the paths in the order in which the loader tries them."""
        if "/" in name:
            yield self._expand(name, asker)
            return
        for folder in self._own_folders(asker):
            yield posixpath.join(folder, name)
        yield from self._cache.get(name, ())
        for folder in self._system_folders:
            yield posixpath.join(folder, name)

    def _own_folders(self, asker: _Object) -> Iterator[str]:
        """Yield the folders that programs and libraries bring: DT_RPATH is inherited, DT_RUNPATH is not."""
        one: _Object | None = None if asker.facts.runpath else asker
        while one is not None:
            if not one.facts.runpath:
                yield from (self._expand(folder, one) for folder in one.facts.rpath)
            one = one.asker
        yield from (self._expand(folder, asker) for folder in asker.facts.runpath)

    def _expand(self, text: str, owner: _Object) -> str:
        """Put folders in the place of tokens; $PLATFORM stays, for it names the processor it will run on."""
        library_folder = self._system_folders[0].removeprefix("/usr").strip("/")
        values = {"ORIGIN": owner.folder, "LIB": library_folder}
        return TOKEN.sub(lambda found: values.get(found[1] or found[2], found[0]), text)

    def _open(self, path: str, name: str, asker: _Object | None) -> _Object | SkippedFile | None:
        # A path that is not absolute starts in the working folder, which no file decides.
        entry = self._rootfs.resolve(path) if path.startswith("/") else None
        if entry is None:
            return None
        if entry.kind != "file":
            return SkippedFile(path=path, why=f"is a {entry.kind}, not a file", ends_search=True)
        try:
            facts = read_elf(self._rootfs.read(path))
        except UsageError as err:
            return SkippedFile(path=path, why=err.happened, ends_search=True)
        wanted = self._program.facts
        if (facts.arch, facts.bits) != (wanted.arch, wanted.bits):
            # Of the same size and the other byte order, the loader says an error and goes no further.
            ends = facts.bits == wanted.bits and facts.endianness != wanted.endianness
            return SkippedFile(path=path, why=f"is for {facts.arch}, not {wanted.arch}", ends_search=ends)
        # Where a library was found, and not where links lead from there, is its $ORIGIN.
        return _Object(name=name, path=entry.path, folder=posixpath.dirname(path), facts=facts, asker=asker)

    def _missing_versions(self) -> Iterator[MissingVersion]:
        """Yield every version that is needed of a library and not there; a missing library is enough said.

        The loader lets a library pass that defines no version at all, with a warning. Nothing then tells
        whether the functions are in it, so it is missing here.
        """
        for one in self._loaded:
            for library, versions in one.facts.required_versions.items():
                there = self._names.get(library)
                if there is None and library in self._names:
                    continue
                defined = () if there is None else there.facts.defined_versions
                for version in versions:
                    if version not in defined:
                        yield MissingVersion(library=library, version=version, needed_by=one.name)
