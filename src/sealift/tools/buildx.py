"""buildx: one multi-platform build into an OCI layout."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sealift import process
from sealift.errors import OutsideError
from sealift.model.names import Platform

# What gRPC and Go's network say on buildx's last line when the builder is not reached, or is lost on the way.
_UNREACHED = re.compile(
    r"code = Unavailable|\bUnavailable:|dial (?:unix|tcp)|connection re(?:fused|set)|broken pipe"
    r"|transport is closing|error reading (?:from server|server preface)|\bEOF$|context deadline exceeded"
)


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """One build. ``contexts`` replaces stages and images by name; ``epoch`` is every file's time, in seconds.

    Without a ``builder`` it is the one that buildx has selected.
    """

    builder: str
    dockerfile: Path
    context: Path
    contexts: Mapping[str, str]
    arguments: Mapping[str, str]
    platforms: Sequence[Platform]
    labels: Mapping[str, str]
    name: str
    epoch: int
    output: Path


def build(request: BuildRequest, *, env: Mapping[str, str]) -> None:
    """Build into the folder ``output``, which must not exist: BuildKit would add to it.

    No attestation goes into the index: its time stamps would make each build a new digest. Raises
    ProgramFailedError where the build fails, and another OutsideError where the builder is not reached.
    """
    options = [f"--build-context={name}={place}" for name, place in sorted(request.contexts.items())]
    options += [f"--build-arg={key}={value}" for key, value in sorted(request.arguments.items())]
    options += [f"--label={key}={value}" for key, value in sorted(request.labels.items())]
    output = f"type=oci,tar=false,dest={request.output},rewrite-timestamp=true,name={request.name}"
    done = process.run(
        [
            *("docker-buildx", "build", *_builder(request.builder), "--progress=plain"),
            *("--file", request.dockerfile, "--platform", ",".join(request.platforms)),
            *options,
            *("--provenance=false", "--sbom=false", f"--output={output}", request.context),
        ],
        env={**env, "SOURCE_DATE_EPOCH": str(request.epoch)},
        check=False,
    )
    if done.returncode != 0:
        raise _failure(done, request.builder)


def _failure(done: process.Completed, builder: str) -> OutsideError:
    failed = process.ProgramFailedError(done)
    # A step's own words may hold the same; the last line is buildx's.
    last = done.stderr.strip().rpartition("\n")[2]
    if not (last.startswith("ERROR:") and _UNREACHED.search(last)):
        return failed
    lost = OutsideError(
        f"the builder {builder or 'that is selected'} cannot be reached: {last.removeprefix('ERROR: ')}",
        means="BuildKit is not there, or went away during the build",
        next_step="run again when it answers",
    )
    lost.__cause__ = failed
    return lost


def _builder(name: str) -> tuple[str, ...]:
    return ("--builder", name) if name else ()
