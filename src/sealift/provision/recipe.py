"""What one program is built from: ci/tools/NAME with its go.mod, go.sum, main.go and build.yaml.

Everything here is reading; nothing needs Go.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from sealift.errors import UsageError
from sealift.model.codec import convert
from sealift.model.names import Platform
from sealift.provision.cache import sha256_of

# This checkout's own ci folder: sealift is installed from it in place.
CI = Path(__file__).resolve().parents[3] / "ci"
INPUTS = ("go.mod", "go.sum", "main.go")
# Whatever changes here changes every binary, or might: it is part of each recipe's digest.
FLAGS = ("-trimpath", "-buildvcs=false")
LDFLAGS = "-s -w"
FIXED_ENV = {"GOENV": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}


class BuildFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ci/tools/NAME/build.yaml: what differs from the usual build."""

    env: dict[str, str] = {}
    ldflags: str = ""
    #: From empty caches on two cores; people are told.
    seconds: int = 60
    #: Whose version is the program's, where the main package is our own.
    module: str = ""


@dataclass(frozen=True, kw_only=True)
class GoMod:
    """The lines of a go.mod that matter here."""

    go: tuple[int, ...]
    tool: str
    requires: dict[str, str]

    def version_of(self, package: str) -> str:
        """Return the version of the module that holds a package, or an empty text."""
        holders = [m for m in self.requires if package == m or package.startswith(f"{m}/")]
        return self.requires[max(holders, key=len)] if holders else ""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to build one program."""

    name: str
    folder: Path
    package: str
    version: str
    env: dict[str, str]
    ldflags: str
    seconds: int
    inputs: dict[str, str]

    def digest(self, key: str) -> str:
        """Hash all that decides the binary, with its platform and Go version."""
        # Not build.yaml itself: a better guess of the seconds builds nothing anew.
        parts = {
            "inputs": self.inputs,
            "package": self.package,
            "key": key,
            "flags": FLAGS,
            "ldflags": self.ldflags,
            "env": {**FIXED_ENV, **self.env},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def all_names(ci: Path = CI) -> tuple[str, ...]:
    """Name every program that has a folder."""
    return tuple(sorted(p.parent.name for p in (ci / "tools").glob("*/go.mod")))


def read_recipe(name: str, ci: Path = CI) -> Recipe:
    """Read one program's folder."""
    folder = ci / "tools" / name
    if name not in all_names(ci):
        raise UsageError(
            f"there is no program {name!r} in {ci / 'tools'}",
            next_step=f"use one of {', '.join(all_names(ci))}",
        )
    mod = read_gomod(folder / "go.mod")
    build = _read_build(folder / "build.yaml")
    return Recipe(
        name=name,
        folder=folder,
        package=mod.tool or ".",
        version=mod.version_of(build.module or mod.tool),
        env=build.env,
        ldflags=f"{LDFLAGS} {build.ldflags}".strip(),
        seconds=build.seconds,
        inputs={n: sha256_of(folder / n) for n in INPUTS if (folder / n).exists()},
    )


def as_numbers(version: str) -> tuple[int, ...]:
    """Read a Go version for comparing: 1.26rc1 is older than 1.26, and 1.26 is 1.26.0."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?(rc|beta)?", version)
    if found is None:
        return (0, 0, 0, 0)
    return (int(found[1]), int(found[2]), int(found[3] or 0), -1 if found[4] else 0)


def newest_go_needed(names: Collection[str], ci: Path = CI) -> tuple[int, ...]:
    """Return the greatest ``go`` line of these programs' modules."""
    return max((read_gomod(ci / "tools" / name / "go.mod").go for name in names), default=as_numbers("1.21"))


def read_gomod(path: Path) -> GoMod:
    """Read a go.mod as the go command writes it."""
    text = path.read_text()
    requires = re.findall(r"^(?:require)?\s+(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE)
    go = re.search(r"^go ([0-9.]+)$", text, re.MULTILINE)
    tools = re.findall(r"^tool (\S+)$", text, re.MULTILINE)
    if go is None or len(tools) > 1:
        raise UsageError(
            f"{path} has no go line or several tools",
            next_step="give it one tool line, or a main.go of its own",
        )
    return GoMod(go=as_numbers(go[1]), tool="".join(tools), requires=dict(requires))


def _read_build(path: Path) -> BuildFile:
    try:
        return convert(yaml.safe_load(path.read_text()) or {}, BuildFile)
    except FileNotFoundError:
        return BuildFile()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}", next_step="it takes env, ldflags, seconds and module") from error


def this_platform() -> Platform:
    """Return the platform we run on, as Go spells it."""
    import platform

    machine = platform.machine()
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return Platform(f"{platform.system().lower()}/{arch}")
