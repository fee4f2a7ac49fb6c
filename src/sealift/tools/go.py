"""The Go compiler: one reproducible build."""

from __future__ import annotations

import json
import os
import posixpath
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from sealift import process
from sealift.environment import environment_of
from sealift.errors import MissingProgramError, OutsideError, RefusedError, SealiftError, UsageError
from sealift.model.config import Linkage
from sealift.model.names import Platform
from sealift.network import blamed, child_env
from sealift.places import plain
from sealift.tools import compiling, git
from sealift.tools.gobinary import LEVELS, STARTS
from sealift.tools.gosource import refuse_outside

# Zig's names of the architectures that distroless has; https://ziglang.org/documentation/master/#Targets
ZIG = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "ppc64le": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
}

# Settings of Go that say where modules come from, and change no byte of them. `go env -w` may have put them
# into the user's file, which GOENV=off hides. https://go.dev/ref/mod#environment-variables
MODULE_SETTINGS = (
    *("GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB"),
    *("GOINSECURE", "GOAUTH", "GOVCS"),
)

# What go prints of one package that does not compile begins so. Before it, only modules were loaded: what
# stands below is the compiler's, and quotes the user's code.
_COMPILING = re.compile(r"^# \S", re.MULTILINE)
_OTHER_CODE = re.compile(r"^SECURITY ERROR|verifying [^\n]*checksum mismatch", re.MULTILINE)
_NEWER_GO = re.compile(r"requires go >= (?P<needed>\S+) \(running go (?P<running>[^;)]+)")
# How go says that a module, or its line in the checksum database, did not come: the address, and why.
_NOT_FETCHED = re.compile(r'(?:Get "|reading )https?://[^\s"]+"?: (?P<why>.+)')
# The same of git, which go starts for a module that no proxy has.
_NOT_CLONED = re.compile(
    r"git [^\n]*: exit status 128:\n\s*(?P<why>[^\n]+(?:\n\s+(?:fatal|ssh|ERROR)[^\n]+)*)"
    # Of a server whose protocol it only tries, go does not tell why.
    r"|(?P<tried>[^\n]*no secure protocol found for repository)"
)
_SAID_NO = re.compile(
    r"4(?!08|25|29)\d\d |x509: |tls: |unsupported protocol scheme|[Pp]ermission denied|could not read "
    r"|terminal prompts disabled|[Aa]uthentication failed|[Rr]epository (?:'[^']*' )?not found"
    r"|Host key verification failed"
)
_MACHINE_FAILED = re.compile(
    r"(?:no space left on device|cannot allocate memory|too many open files|signal: killed)$", re.MULTILINE
)
_NO_C_COMPILER = re.compile(r"C compiler .* not found|exec: .*: executable file not found")
# One place in the user's code, as the compiler names it: from the folder of the module.
_PLACE = re.compile(r"^(\s*)(?:\./)?((?!/)[^\s:]+\.(?:go|c|cc|cpp|h|s|S|mod|work|sum|txt):\d+)", re.MULTILINE)
# A file that .gitignore covers is on the machine that vendored it, and not in the commit.
_VENDOR = "run go mod vendor (with a go.work: go work vendor) in {where}, then git add -f vendor, and commit"
_VENDORED = re.compile(r"^\s*(?:\S*/)?vendor/\S+\.go:\d+", re.MULTILINE)
_ADVICE = (
    ("missing go.sum entry", "run go mod tidy in {where}, and commit go.mod and go.sum"),
    ("updates to go.mod needed", "run go mod tidy in {where}, and commit go.mod and go.sum"),
    ("inconsistent vendoring", _VENDOR),
    ("import lookup disabled by -mod=vendor", _VENDOR),
    ("GOPROXY=off", "go env GOPROXY"),
    ("GOVCS disallows", "go env GOVCS"),
)
_ARCHIVE = b"!<arch>\n"
_OBJECTS = (
    "{{if not .Standard}}{{$package := .ImportPath}}"
    "{{range .SysoFiles}}{{$package}}\t{{.}}\n{{end}}"
    "{{range .CgoLDFLAGS}}{{$package}}\t{{.}}\n{{end}}{{end}}"
)
_OBJECT = re.compile(r"\.(?:syso|a|o|so(?:\.\d+)*)$")
_ZIG_CACHES = ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")


@dataclass(frozen=True, kw_only=True)
class GoBuildRequest:
    """One binary to build. ``module`` is a folder in a clean clone; ``version`` goes into ``variable``.

    ``source`` is the top of the clone, where the module's own repository may be a submodule of it. The folder
    of ``output`` is this run's own; ``cache`` may have been there before.
    """

    module: Path
    package: str
    variable: str
    version: str
    platform: Platform
    linkage: Linkage
    glibc: str | None
    output: Path
    cache: Path
    source: Path | None = None


def zig_home() -> Path:
    """Return the folder of zig, the C compiler, in the wheel that our own environment has."""
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise MissingProgramError("the C compiler zig is not here", next_step="make venv")
    return Path(spec.origin).parent


def environment(go: Path, request: GoBuildRequest) -> dict[str, str]:
    """Every setting by name: of the machine's own only those that say where code comes from."""
    # What a C compiler says of the files that it read is a text, too, and zig cannot read every path in it.
    cache, passed = plain(request.cache), module_environment(go)
    level, (oldest, *_) = LEVELS.get(request.platform.arch, ("", ("",)))
    env = {
        **passed,
        # Go starts git to learn the commit that it stamps.
        **git.stamping_environment(passed),
        "GOENV": "off",
        # Not empty, or a line of $GOROOT/go.env would count. No -mod: vendor/ counts where go build takes it.
        "GOFLAGS": "-trimpath",
        "GOTOOLCHAIN": "local",
        "GOWORK": _workspace(request.module),
        "GOOS": request.platform.os,
        "GOARCH": request.platform.arch,
        "GOCACHE": str(cache / "go-build"),
        **compiling.go_cache(),
        "GOMODCACHE": str(cache / "go-mod"),
        "CGO_ENABLED": "1" if request.linkage == "dynamic" else "0",
        # Go's own defaults, by name: a Go that was built on another machine may have others built in.
        **({level: oldest} if level else {}),
    }
    if request.linkage == "dynamic":
        env |= {
            # By a name on PATH, not by its place: go splits CC at spaces, and what CC says is a part of the
            # names in its build cache. The version is said for the latter alone.
            "CC": f"zig cc -target {_target(request)} -D__SEALIFT_ZIG={metadata.version('ziglang')}",
            "PATH": f"{zig_home()}{os.pathsep}{passed['PATH']}",
            "TMPDIR": str(plain(Path(tempfile.gettempdir()))),
            "ZIG_LIB_DIR": str(plain(zig_home() / "lib")),
            **{name: str(cache / "zig") for name in _ZIG_CACHES},
        }
    return env


def _target(request: GoBuildRequest) -> str:
    return f"{ZIG[request.platform.arch]}.{request.glibc}"


def module_environment(go: Path) -> dict[str, str]:
    """Return this machine's settings that say where modules come from, each as it was set."""
    passed = child_env("go")
    # Outside of any module, whose go.mod might want another Go.
    said = process.run(
        [go, "env", "-json", *MODULE_SETTINGS],
        cwd=Path("/"),
        env={**passed, **STARTS, "GOWORK": "off"},
    )
    return passed | {name: value for name, value in json.loads(said.stdout).items() if value}


def _workspace(module: Path) -> str:
    """Return the go.work that go would take, if it is in the clone; outside of it there may be another."""
    return str(next((f / "go.work" for f in _folders(module) if (f / "go.work").is_file()), "off"))


def _folders(module: Path) -> Iterator[Path]:
    """Yield a module's folder and those above it, up to the top of the clone."""
    for folder in (module, *module.parents):
        yield folder
        if (folder / ".git").exists():
            return


def build(go: Path, request: GoBuildRequest) -> tuple[str, ...]:
    """Build one binary; the same source, Go and flags give the same bytes in any folder.

    Returns the command's words. Raises UsageError with the compiler's words where the code cannot be built as
    it is, RefusedError where a module is not the one that go.sum names, and OutsideError where one could not
    be fetched or this machine failed.
    """
    ldflags = f"-s -w -buildid= -X {request.variable}={request.version}"
    if request.linkage == "dynamic":
        ldflags += " -linkmode=external -extldflags=-s"
    argv = [str(go), "build", "-trimpath", "-buildvcs=true", f"-ldflags={ldflags}"]
    top = _look_at_source(request)
    request, env = _prepared(go, request)
    own = request.output.parent
    try:
        refuse_outside(go, request.module, request.package, top=top, env=env)
        with ExitStack() as stack:
            if request.linkage == "dynamic":
                zig = stack.enter_context(compiling.zig_cache(request.cache, _target(request), own=own))
                env |= dict.fromkeys(_ZIG_CACHES, str(zig))
            process.run(
                [*argv, "-o", request.output, request.package], cwd=request.module, env=env, timeout=1200
            )
    except process.ProgramFailedError as error:
        failure = _failure(error, request)
        if isinstance(failure, UsageError):
            _name_submodules(failure, request)
        raise failure from error
    with request.output.open("rb") as file:
        if file.read(len(_ARCHIVE)) == _ARCHIVE:
            raise UsageError(
                f"{request.package} in {_where(request.module)} is a library",
                means="a service is a package main; this one has another name in its package lines",
                next_step="name the package of func main in ci/release.yaml: go.package",
            )
    return ("go", *argv[1:], request.package)


def _prepared(go: Path, request: GoBuildRequest) -> tuple[GoBuildRequest, dict[str, str]]:
    """Return a request with caches that this user alone can change, and the environment of its build.

    Raises RefusedError where a module that was fetched before is not the one that go.sum names.
    """
    own = request.output.parent
    own.mkdir(parents=True, exist_ok=True)
    request = replace(request, cache=compiling.trusted(request.cache, own=own))
    env, folders = environment(go, request), tuple(_folders(request.module))
    if any((folder / "vendor" / "modules.txt").is_file() for folder in folders):
        # Whether go takes vendor/ or fetches, it reads no module that was there before.
        env["GOMODCACHE"] = str(plain(own) / "modules")
    else:
        compiling.check_modules(folders, Path(env["GOMODCACHE"]), own=own)
    return request, env


def prebuilt(go: Path, request: GoBuildRequest) -> tuple[str, ...]:
    """Name the object code that this build links without compiling it, outside of the standard library.

    Go links ``*.syso`` files silently, and cgo's LDFLAGS may name archives. No advisory and no review covers
    what is in them. https://pkg.go.dev/cmd/go#hdr-File_types
    """
    request, env = _prepared(go, request)
    listed = process.run(
        [go, "list", "-deps", f"-f={_OBJECTS}", request.package], cwd=request.module, env=env
    )
    words = (line.split("\t") for line in listed.stdout.splitlines())
    found = ((package, posixpath.basename(word)) for package, word in words if _OBJECT.search(word))
    return tuple(
        dict.fromkeys(f"{package} links {name}, which was not compiled here" for package, name in found)
    )


def _look_at_source(request: GoBuildRequest) -> Path:
    """Return the top of the clone; refuse a folder without a module in it.

    Go would take a go.mod from above the clone, which is no commit's.
    """
    *_, top = _folders(request.module)
    top = request.source or top
    git.refuse_leaving(top, str(request.module.relative_to(top)))
    missing = "has no go.mod" if request.module.is_dir() else "is no folder"
    found = any((folder / "go.mod").is_file() for folder in _folders(request.module))
    if not found or not request.module.is_dir():
        raise UsageError(
            f"the Go module {_where(request.module)} {missing} in the commit",
            next_step="correct go.module in ci/release.yaml, or commit the folder",
        )
    return top


def _where(module: Path) -> str:
    """Name a module's folder as it is in the repository."""
    *_, top = _folders(module)
    return str(module.relative_to(top))


def _failure(error: process.ProgramFailedError, request: GoBuildRequest) -> SealiftError:
    """Tell apart what go says: whose fault it is decides who reads it, and whether trying again may help."""
    said, loading = error.done.stderr, _loading(error)
    where = _where(request.module)
    if error.done.returncode < 0 or "GOCACHEPROG" in loading or _MACHINE_FAILED.search(said):
        return error
    if _OTHER_CODE.search(loading):
        return RefusedError(
            f"a Go module is not the one that go.sum names\n{_quoted(loading, where)}",
            means="its author moved a tag, or what answers in its place gives other code",
            next_step="compare both versions before you change go.sum",
        )
    if (newer := _NEWER_GO.search(loading)) is not None:
        return UsageError(
            f"the Go module {where} needs Go {newer['needed']}; this is Go {newer['running']}\n"
            f"{_quoted(loading, where)}",
            means="a release never fetches another compiler by itself",
            next_step=f"install Go {newer['needed']} or newer, or lower the go line",
        )
    if (
        lost := blamed("a Go module could not be fetched", _without_progress(loading)) or _lost(error)
    ) is not None:
        return lost
    if _NO_C_COMPILER.search(said):
        return MissingProgramError(error.happened, next_step="sealift doctor")
    own = (
        _VENDOR
        if _VENDORED.search(said)
        else "correct the code and commit it; sealift release --dirty takes it uncommitted"
    )
    advice = next((words for sign, words in _ADVICE if sign in loading), own)
    return UsageError(
        f"{request.package} in {where} does not compile for {request.platform}\n{_quoted(said, where)}",
        means="go build fails on this code; retrying will not help",
        next_step=advice.format(where=where),
    )


def _name_submodules(failure: UsageError, request: GoBuildRequest) -> None:
    """Add to a failure which parts of the commit are not here: go itself only misses their files."""
    *_, top = _folders(request.module)
    if empty := git.empty_submodules(top):
        names = ", ".join(map(git.printable, empty))
        failure.means = f"{failure.means}; empty here, for they are submodules: {names}"
        failure.next_step = f"{'; '.join(empty.values())}; if that is not it: {failure.next_step}"


def _quoted(said: str, where: str) -> str:
    """Quote what go said, with paths that start at the top of the repository."""
    text = _without_progress(said)
    if where != ".":
        # Not a template: in one, a folder's digits would be a part of the group's number.
        text = _PLACE.sub(lambda found: f"{found[1]}{where}/{found[2]}", text)
    # The first error is the one that explains the others.
    return "\n".join(f"  | {line}" for line in text[: process.TAIL].splitlines())


def _without_progress(said: str) -> str:
    return "\n".join(x for x in said.strip().splitlines() if not x.startswith("go: downloading "))


def _loading(error: process.ProgramFailedError) -> str:
    """Return what go printed before it compiled: from there on, the compiler quotes the user's code."""
    said = error.done.stderr
    return said[: found.start()] if (found := _COMPILING.search(said)) else said


def _lost(error: process.ProgramFailedError) -> OutsideError | None:
    """Tell of a module that did not come, if that was it."""
    loading = _loading(error)
    if (found := _NOT_FETCHED.search(loading) or _NOT_CLONED.search(loading)) is None:
        return None
    no = _SAID_NO.search(found["why"] or "could not read it") is not None
    private = "; if it is private, set GOPRIVATE, and give credentials (netrc, GOAUTH, an ssh agent)"
    return OutsideError(
        f"a Go module could not be fetched: {' '.join(found[0].split())}",
        means="the compiler has not seen the code yet",
        next_step=f"go env GOPROXY GOPRIVATE shows where modules come from{private}"
        if no
        else "run again when it answers; go env GOPROXY shows where modules come from",
        again=not no,
    )


def version(go: Path) -> str:
    """Return the compiler's version, ``go1.26.8``."""
    env = {**environment_of("go"), **STARTS, "GOENV": "off", "GOWORK": "off"}
    return process.run([go, "env", "GOVERSION"], cwd=Path("/"), env=env).stdout.strip()
