"""What a Go program was built from, as ``go version -m`` reads it; the program is not started."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sealift.errors import UsageError
from sealift.model.codec import decode
from sealift.model.modules import GoModule
from sealift.process import ProgramFailedError, run

# With these the user's go starts, whatever was set for another one: empty is as good as not set to it.
STARTS = {"GOROOT": "", "GOEXPERIMENT": "", "GOTOOLCHAIN": "local"}
# The oldest processors of each architecture, as build info names them: an image is for all of a platform.
# https://go.dev/wiki/MinimumRequirements
LEVELS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "386": ("GO386", ("sse2",)),
    "amd64": ("GOAMD64", ("v1",)),
    "arm": ("GOARM", ("7", "7,hardfloat")),
    "arm64": ("GOARM64", ("v8.0",)),
    "mips": ("GOMIPS", ("hardfloat",)),
    "mipsle": ("GOMIPS", ("hardfloat",)),
    "mips64": ("GOMIPS64", ("hardfloat",)),
    "mips64le": ("GOMIPS64", ("hardfloat",)),
    "ppc64": ("GOPPC64", ("power8",)),
    "ppc64le": ("GOPPC64", ("power8",)),
    "riscv64": ("GORISCV64", ("rva20u64",)),
}
_MODULE = re.compile(r"^\s*module\s+([\"`]?)([^\s\"`/][^\s\"`]*)\1\s*(?://.*)?$", re.MULTILINE)


class _Module(msgspec.Struct, frozen=True, rename="pascal"):
    path: str = ""
    version: str = ""
    sum: str = ""
    replace: _Module | None = None


class _Setting(msgspec.Struct, frozen=True, rename="pascal"):
    key: str = ""
    value: str = ""


class _BuildInfo(msgspec.Struct, frozen=True, rename="pascal"):
    go_version: str
    path: str = ""
    main: _Module = _Module()
    deps: tuple[_Module, ...] = ()
    settings: tuple[_Setting, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Module:
    """A Go module whose code is in the program; where another module replaced one, the replacement.

    One that a ``folder`` replaced, which has neither a version nor a sum, keeps its own name and version.
    """

    path: str
    version: str
    sum: str
    folder: str = ""

    @property
    def name(self) -> GoModule:
        """What it is called everywhere else."""
        return GoModule.of(self.path, self.version)


@dataclass(frozen=True, kw_only=True)
class BuildInfo:
    """What the Go linker wrote into a program."""

    go_version: str
    path: str
    main_module: Module
    modules: tuple[Module, ...]
    settings: Mapping[str, str]

    @property
    def limitations(self) -> tuple[str, ...]:
        """What the listed versions do not tell of the code."""
        found = [
            f"{module.path} is the folder {module.folder}: advisories are looked up for {module.version}, "
            "the version in go.mod, whatever the folder holds"
            for module in self.modules
            if module.folder
        ]
        found += [
            f"{module.path} is built from the repository and has no version: no advisory is looked up for it"
            for module in self.modules
            if not module.folder and not module.name.version
        ]
        if any(not (module.sum or module.folder) and module.name.version for module in self.modules):
            found.append(
                "Go modules are built from vendor/: advisories are looked up for the versions in go.mod, "
                "whatever was changed there"
            )
        return tuple(found)

    @property
    def vcs_revision(self) -> str | None:
        """The commit, None when the build was not stamped."""
        return self.settings.get("vcs.revision")

    @property
    def vcs_modified(self) -> bool | None:
        """Whether the tree differed from the commit, None when the build was not stamped."""
        return _flag(self.settings.get("vcs.modified"), {"true": True, "false": False})

    @property
    def cgo_enabled(self) -> bool | None:
        """Whether C code could be linked in."""
        return _flag(self.settings.get("CGO_ENABLED"), {"1": True, "0": False})

    @property
    def goos(self) -> str | None:
        """The operating system that it was built for."""
        return self.settings.get("GOOS")

    @property
    def goarch(self) -> str | None:
        """The architecture that it was built for."""
        return self.settings.get("GOARCH")


def import_path(module: Path, package: str) -> tuple[str, str]:
    """Return the path of the module that a folder belongs to, and that of a package, as go would.

    ``package`` is ``./cmd/name``, seen from the folder, or an import path already.
    """
    root = next((f for f in (module, *module.parents) if (f / "go.mod").is_file()), module)
    try:
        found = _MODULE.search((root / "go.mod").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(f"{root / 'go.mod'} cannot be read: {err}") from err
    if found is None:
        raise UsageError(f"{root / 'go.mod'} names no module", next_step="go mod edit -module PATH")
    if package.partition("/")[0] != ".":
        return found[2], package
    inside = module.relative_to(root).as_posix()
    return found[2], posixpath.normpath(posixpath.join(found[2], inside, package))


def read_build_info(path: Path) -> BuildInfo:
    """Read the build info of one program; one that Go did not make raises UsageError."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file", next_step="sealift compile")
    # A machine's own Go settings must not change the answer, nor fetch another Go to give it.
    env = {**os.environ, **STARTS, "GOENV": "off", "GOFLAGS": ""}
    done = run(["go", "version", "-m", "-json", path.absolute()], cwd=Path("/"), env=env, check=False)
    words = done.stderr.strip()
    # Of a damaged file without the executable bit it says nothing at all.
    if done.returncode == 1 and (not words or "could not read Go build info" in words):
        raise UsageError(
            f"{path} has no Go build info" + (f": {words.rpartition(': ')[2]}" if words else ""),
            means="it was not built by Go, or the file is damaged",
            next_step="sealift compile",
        )
    if done.returncode != 0:
        raise ProgramFailedError(done)
    return parse_build_info(done.stdout.encode(), str(path))


def parse_build_info(raw: bytes, name: str) -> BuildInfo:
    """Read what ``go version -m -json`` printed for the program called ``name``."""
    try:
        info = decode(raw, _BuildInfo)
    except msgspec.DecodeError as err:
        raise UsageError(
            f"go version -m -json printed something else for {name}: {err}", next_step="sealift doctor"
        ) from err
    return BuildInfo(
        go_version=info.go_version,
        path=info.path,
        main_module=_module(info.main),
        modules=tuple(_module(module) for module in info.deps),
        settings={setting.key: setting.value for setting in info.settings},
    )


def _module(module: _Module) -> Module:
    built = module.replace or module
    # https://go.dev/ref/mod#go-mod-file-replace: what has no version is a folder.
    if module.replace is not None and built.version in ("", "(devel)"):
        return Module(path=module.path, version=module.version, sum="", folder=built.path)
    return Module(path=built.path, version=built.version, sum=built.sum)


def _flag(text: str | None, values: Mapping[str, bool]) -> bool | None:
    return None if text is None else values.get(text)
