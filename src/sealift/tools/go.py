"""The Go compiler: one reproducible build."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from sealift import process
from sealift.errors import MissingProgramError, OutsideError
from sealift.model.config import Linkage
from sealift.model.names import Platform
from sealift.places import plain

# Zig's names of the architectures that distroless has; https://ziglang.org/documentation/master/#Targets
ZIG = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "ppc64le": "powerpc64le-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "s390x": "s390x-linux-gnu",
}

# How go says that a module, or its line in the checksum database, did not come: the address, and why.
_NOT_FETCHED = re.compile(r'(?:Get "|reading )https?://[^\s"]+"?: (?P<why>.+)')
_SAID_NO = re.compile(r"4(?!08|25|29)\d\d ")


@dataclass(frozen=True, kw_only=True)
class GoBuildRequest:
    """One binary to build. ``module`` is a folder in a clean clone; ``version`` goes into ``variable``."""

    module: Path
    package: str
    variable: str
    version: str
    platform: Platform
    linkage: Linkage
    glibc: str | None
    output: Path
    cache: Path


def zig_home() -> Path:
    """Return the folder of zig, the C compiler, in the wheel that our own environment has."""
    spec = find_spec("ziglang")
    if spec is None or spec.origin is None:
        raise MissingProgramError("the C compiler zig is not here", next_step="make venv")
    return Path(spec.origin).parent


def environment(go: Path, request: GoBuildRequest) -> dict[str, str]:
    """Every setting by name: nothing of the machine's own Go settings reaches the build."""
    passed = {k: v for k, v in os.environ.items() if k in ("HOME", "PATH", "TMPDIR", "SSL_CERT_FILE")}
    # What a C compiler says of the files that it read is a text, too, and zig cannot read every path in it.
    cache = plain(request.cache)
    asked = process.run([go, "env", "GOPROXY", "GOSUMDB"]).stdout.split()
    env = {
        **passed,
        "GOENV": "off",
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOPROXY": asked[0],
        "GOSUMDB": asked[1],
        "GOOS": request.platform.os,
        "GOARCH": request.platform.arch,
        "GOCACHE": str(cache / "go-build"),
        "GOMODCACHE": str(cache / "go-mod"),
        "CGO_ENABLED": "1" if request.linkage == "dynamic" else "0",
    }
    if request.platform.arch == "amd64":
        env["GOAMD64"] = "v1"
    if request.platform.arch == "arm64":
        env["GOARM64"] = "v8.0"
    if request.linkage == "dynamic":
        target = f"{ZIG[request.platform.arch]}.{request.glibc}"
        env |= {
            # By a name on PATH, not by its place: go splits CC at spaces, and what CC says is a part of the
            # names in its build cache. The version is said for the latter alone.
            "CC": f"zig cc -target {target} -D__SEALIFT_ZIG={metadata.version('ziglang')}",
            "PATH": f"{zig_home()}{os.pathsep}{passed['PATH']}",
            "TMPDIR": str(plain(Path(tempfile.gettempdir()))),
            "ZIG_LIB_DIR": str(plain(zig_home() / "lib")),
            "ZIG_GLOBAL_CACHE_DIR": str(cache / "zig"),
            "ZIG_LOCAL_CACHE_DIR": str(cache / "zig"),
        }
    return env


def build(go: Path, request: GoBuildRequest) -> tuple[str, ...]:
    """Build one binary; the same source, Go and flags give the same bytes in any folder.

    Returns the command's words. Raises ProgramFailedError with the compiler's output, and another
    OutsideError where a module could not be fetched.
    """
    ldflags = f"-s -w -buildid= -X {request.variable}={request.version}"
    if request.linkage == "dynamic":
        ldflags += " -linkmode=external -extldflags=-s"
    argv = [str(go), "build", "-trimpath", "-buildvcs=true", f"-ldflags={ldflags}"]
    request.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        process.run(
            [*argv, "-o", request.output, request.package],
            cwd=request.module,
            env=environment(go, request),
            timeout=1200,
        )
    except process.ProgramFailedError as error:
        if (lost := _lost(error)) is None:
            raise
        raise lost from error
    return ("go", *argv[1:], request.package)


def _lost(error: process.ProgramFailedError) -> OutsideError | None:
    """Tell of a module that did not come, if that was it."""
    if (found := _NOT_FETCHED.search(error.done.stderr)) is None:
        return None
    return OutsideError(
        f"a Go module could not be fetched: {found[0]}",
        means="the compiler has not seen the code yet",
        next_step="run again when it answers; go env GOPROXY names who is asked",
        again=_SAID_NO.match(found["why"]) is None,
    )


def version(go: Path) -> str:
    """Return the compiler's version, ``go1.26.8``."""
    return process.run([go, "env", "GOVERSION"], env={**os.environ, "GOENV": "off"}).stdout.strip()
