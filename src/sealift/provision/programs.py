"""The Go programs of ci/tools: from the cache for their hash, or built here once.

programs = provide(["regctl", "trivy"], cache=cache_folder())
os.environ["PATH"] = f"{bin_folder(programs.values())}:{os.environ['PATH']}"
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sealift import console, network, records
from sealift.errors import ManyErrors, OutsideError, RefusedError, SealiftError
from sealift.places import is_own_folder, own_folder, plain
from sealift.process import OpenProgram, ProgramFailedError, link_programs, run
from sealift.provision.cache import workspace, workspace_if_free
from sealift.provision.go import Go, find_go, go_environment
from sealift.provision.lock import Lock
from sealift.provision.recipe import CI, FLAGS, Recipe, read_recipe
from sealift.threads import threads_of

# Such a build (Trivy's) takes 7 GB of caches for itself: no other beside it.
ALONE_SECONDS = 400
TOGETHER = 2
# The caches of all others come to 10 GB when they share them; with less room each has its own, for a while.
SHARED_BYTES = 12_000_000_000
TIMEOUT = 3600.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that is here, held open, and why it is believed."""

    name: str
    path: Path
    file: OpenProgram = field(compare=False, repr=False)
    sha256: str
    version: str
    origin: Literal["cache", "built"]
    locked: bool
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """One program's place in the cache."""

    recipe: Recipe
    key: str
    binary: Path
    locked: str | None

    @property
    def record(self) -> Path:
        """The hash that this user recorded when the binary was built; it counts where the lock has none."""
        return self.binary.with_name(f"{self.binary.name}.sha256")

    @property
    def record_name(self) -> str:
        """What the record is of."""
        return f"program {self.recipe.name} {self.recipe.digest(self.key)}"

    @property
    def wanted(self) -> str | None:
        """The hash a cached binary must have."""
        if self.locked is not None:
            return self.locked
        found = records.read(self.record, self.record_name)
        return found.decode() if found else None

    def program(self, file: OpenProgram, origin: Literal["cache", "built"], note: str = "") -> Program:
        """Describe the binary that was opened and hashed."""
        return Program(
            name=self.recipe.name,
            path=self.binary,
            file=file,
            sha256=file.sha256,
            version=self.recipe.version,
            origin=origin,
            locked=self.locked is not None,
            note=note,
        )


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A program that must be built, and what is wrong with the cached one if there is one."""

    shelf: Shelf
    note: str = ""


def provide(names: Collection[str], *, cache: Path, ci: Path = CI) -> dict[str, Program]:
    """Return these programs, building those the cache does not hold with the right hash."""
    go = find_go(cache=cache, ci=ci)
    found = look(names, go=go, cache=cache, ci=ci)
    absent = [a for a in found.values() if isinstance(a, Absent)]
    built = _build_all(absent, go, cache) if absent else {}
    there = {name: p for name, p in found.items() if isinstance(p, Program)}
    return dict(sorted((there | built).items()))


def look(names: Collection[str], *, go: Go, cache: Path, ci: Path = CI) -> dict[str, Program | Absent]:
    """Say for each program what the cache has; build nothing."""
    lock = Lock.read(ci / "tools.lock")
    shelves = [shelve(read_recipe(name, ci), go.key, cache, lock) for name in sorted(set(names))]
    with ThreadPoolExecutor() as threads:  # hashing leaves Python's lock alone
        return {s.recipe.name: a for s, a in zip(shelves, threads.map(inspect, shelves), strict=True)}


def shelve(recipe: Recipe, key: str, cache: Path, lock: Lock) -> Shelf:
    """Compute where a program's binary lies, and which hash it must have."""
    folder = cache / "programs" / recipe.name / recipe.digest(key)[:16]
    return Shelf(recipe=recipe, key=key, binary=folder / recipe.name, locked=lock.get(recipe.name, key))


def inspect(shelf: Shelf) -> Program | Absent:
    """Believe the cached binary for its hash, or not at all."""
    try:
        file = OpenProgram(shelf.binary)
    except OSError:
        return Absent(shelf=shelf)
    got, wanted = file.sha256, shelf.wanted
    if got == wanted:
        return shelf.program(file, "cache")
    why = f"sha256 {got[:12]}, not {wanted[:12]}" if wanted else "no recorded hash of this user's"
    return Absent(shelf=shelf, note=f"the cached binary had {why}")


def bin_folder(programs: Iterable[Program]) -> Path:
    """Make a folder of this run's own for PATH, with a link to each program and nothing else."""
    folder = own_folder("bin")
    link_programs((program.file for program in programs), folder)
    return folder


def lasting_path(folder: Path) -> str:
    """Return PATH for what outlives this run: its links to programs are made anew, in this folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    kept = [str(plain(folder))]
    for place in os.environ["PATH"].split(os.pathsep):
        if not is_own_folder(Path(place), "bin"):
            kept.append(place)
            continue
        for link in Path(place).iterdir():
            with suppress(FileExistsError):
                (folder / link.name).symlink_to(link.resolve())
    return os.pathsep.join(kept)


def _build_all(absent: list[Absent], go: Go, cache: Path) -> dict[str, Program]:
    """Build the great ones one by one, then the rest two at a time, longest first."""
    ordered = sorted(absent, key=lambda a: (-a.shelf.recipe.seconds, a.shelf.recipe.name))
    alone = [a for a in ordered if a.shelf.recipe.seconds >= ALONE_SECONDS]
    rest = [a for a in ordered if a.shelf.recipe.seconds < ALONE_SECONDS]
    progress = _Progress(total=len(ordered))
    env = go_environment(go)
    built: dict[str, Program] = {}
    for batch, together in ((alone, 1), (rest, TOGETHER)):
        with _shared_caches(cache) as shared, threads_of(together) as threads:
            done = _gather([threads.submit(_build, a, go, env, cache, shared, progress) for a in batch])
        built |= {p.name: p for p in done}
    return built


@contextmanager
def _shared_caches(cache: Path) -> Iterator[Path | None]:
    """Give a folder for Go's caches, or None where the disk is small or another process has it.

    Programs have the standard library and many modules in common, and Go builds the same once.
    """
    cache.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(cache).free < SHARED_BYTES:
        yield None
        return
    with workspace_if_free(cache, "caches") as shared:
        yield shared


@dataclass
class _Progress:
    """Numbers the lines that tell people what is being built."""

    total: int
    begun: int = 0

    def begin(self, recipe: Recipe, note: str) -> None:
        self.begun += 1
        why = f"; {note}" if note else ""
        console.say(
            f"[{self.begun}/{self.total}] building {recipe.name} {recipe.version}"
            f" (may take {recipe.seconds} s{why})"
        )


def _gather(futures: list[Future[Program]]) -> list[Program]:
    """Collect results; after the first failure begin no more, and report all that failed."""
    errors: list[SealiftError] = []
    for done in as_completed(futures):
        if done.cancelled():
            continue
        error = done.exception()
        if error is not None and not isinstance(error, Exception):
            raise error  # an interrupt, which the builds beside it must not wait for
        if isinstance(error, SealiftError):
            errors.append(error)
            for other in futures:
                other.cancel()
    if errors:
        raise errors[0] if len(errors) == 1 else ManyErrors(errors)
    return [f.result() for f in futures]


def _build(
    absent: Absent, go: Go, env: dict[str, str], cache: Path, shared: Path | None, progress: _Progress
) -> Program:
    """Build one program in a workspace of its own and publish it by rename."""
    shelf, recipe = absent.shelf, absent.shelf.recipe
    with workspace(cache, recipe.name) as work:
        match inspect(shelf):  # another process may have built it while we waited
            case Program() as there:
                return there
            case Absent(note=note):
                progress.begin(recipe, note)
        start = time.monotonic()
        # With settings of its own nothing of what it compiles is another's.
        made = _compile(recipe, go, env, work, work if recipe.env or shared is None else shared)
        file = OpenProgram(made)
        if shelf.locked not in (None, file.sha256):
            raise _other_hash(shelf, file.sha256)
        _publish(made, shelf, file.sha256)
    console.say(f"built {recipe.name} in {time.monotonic() - start:.0f} s")
    return shelf.program(file, "built", f"{note}; built again" if note else "")


def _compile(recipe: Recipe, go: Go, env: dict[str, str], work: Path, caches: Path) -> Path:
    """Run go build; the caches live and go with a workspace, or a small disk would be full."""
    folders = {"GOMODCACHE": caches / "mod", "GOCACHE": caches / "cache", "GOTMPDIR": work / "tmp"}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    made = work / recipe.name
    own = env | recipe.env | {name: str(folder) for name, folder in folders.items()}
    # -modcacherw changes no byte of the binary; without it a user could not remove the module cache.
    argv = [
        str(go.path),
        "build",
        *FLAGS,
        "-modcacherw",
        f"-ldflags={recipe.ldflags}",
        "-o",
        str(made),
        recipe.package,
    ]
    try:
        run(argv, cwd=recipe.folder, env=own, timeout=TIMEOUT)
    except ProgramFailedError as error:
        what = f"{recipe.name} {recipe.version} could not be built"
        if proxy := network.blamed(what, error.done.stderr):
            raise proxy from error
        raise OutsideError(
            f"{what}\n{error}",
            means="the module proxy did not answer, the disk is full, or Go refuses the module",
            next_step="try again; `go env GOPROXY GOSUMDB` says where modules come from",
        ) from error
    return made


def _publish(made: Path, shelf: Shelf, sha256: str) -> None:
    """Put the record, then the binary: whatever happens between, the two do not agree."""
    shelf.binary.parent.mkdir(parents=True, exist_ok=True)
    records.write(shelf.record, shelf.record_name, sha256.encode())
    made.replace(shelf.binary)


def _other_hash(shelf: Shelf, sha256: str) -> RefusedError:
    name = shelf.recipe.name
    return RefusedError(
        f"{name} {shelf.recipe.version} was built with sha256 {sha256}; ci/tools.lock says {shelf.locked}",
        means=f"same module and Go give the same bytes: ci/tools/{name} changed,"
        f" or this Go is not the {shelf.key} it says it is",
        next_step=f"if ci/tools/{name} was changed on purpose, remove its hashes from ci/tools.lock,"
        " build, and run `sealift doctor --lock`",
    )
