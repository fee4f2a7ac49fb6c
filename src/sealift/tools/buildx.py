"""buildx: one multi-platform build into an OCI layout."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sealift import process
from sealift.errors import OutsideError, UsageError
from sealift.model.names import Digest, Platform
from sealift.network import child_env
from sealift.places import csv_field, linked

# What gRPC and Go's network say on buildx's last line when the builder is not reached, or is lost on the way.
_UNREACHED = re.compile(
    r"code = Unavailable|\bUnavailable:|dial (?:unix|tcp)|connection re(?:fused|set)|broken pipe"
    r"|transport is closing|error reading (?:from server|server preface)|\bEOF$|context deadline exceeded"
)
# The same when the builder, or what stands before it, had no answer this time. Other statuses are a no.
_NO_ANSWER = re.compile(
    r"\b(?:ResourceExhausted|Internal):|code = (?:ResourceExhausted|Internal)\b|unexpected HTTP status code"
)

# buildx would start git in the context, and could add labels of its own: what an image says is the plan's.
WITHOUT_GIT = {"BUILDX_GIT_INFO": "false", "BUILDX_GIT_LABELS": "false", "BUILDX_GIT_CHECK_DIRTY": "false"}


@dataclass(frozen=True, kw_only=True)
class OciLayout:
    """An image or index in an OCI layout folder."""

    folder: Path
    digest: Digest


# What BuildKit says of a Dockerfile, of what it copies, and of what it runs.
_DOCKERFILE = re.compile(
    r"did not complete successfully|dockerfile parse error|failed to read dockerfile"
    r"|Dockerfile cannot be empty|failed to compute cache key|failed to calculate checksum|failed to parse"
    r"|unknown instruction|target stage|stage name|base name|circular dependency"
    r"|no match for platform in manifest|\blstat "
)


# Before that, who says it: BuildKit, or buildx of the files that it was to send.
_SOLVING = re.compile(r"ERROR: (?:failed to (?:solve|build)|resolve |unable to prepare context)")


class DockerfileError(process.ProgramFailedError):
    """A Dockerfile that cannot be built as it is: another try gives the same."""

    exit_code = UsageError.exit_code

    def __init__(self, done: process.Completed, dockerfile: Path | str) -> None:
        super().__init__(done)
        self.means = f"{dockerfile}, or what it copies or runs, is wrong; or a step could not fetch something"
        self.next_step = f"look at the last step above, and correct {dockerfile}"


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """One build. ``contexts`` replaces stages and images by name; ``epoch`` is every file's time, in seconds.

    An argument of None has the value that the environment has, if any: it may be a secret, and every
    user can read a command line. Without a ``builder`` it is the one that buildx has selected.
    """

    builder: str
    dockerfile: Path
    context: Path
    contexts: Mapping[str, Path | OciLayout]
    arguments: Mapping[str, str | None]
    platforms: Sequence[Platform]
    labels: Mapping[str, str]
    name: str
    epoch: int
    output: Path


def build(request: BuildRequest, *, env: Mapping[str, str]) -> None:
    """Build into the folder ``output``, which must not exist: BuildKit would add to it.

    No attestation goes into the index: its time stamps would make each build a new digest. Raises
    DockerfileError where the Dockerfile is wrong, ProgramFailedError where the build fails otherwise, and
    another OutsideError where the builder is not reached or cannot answer now.
    """
    env, options = child_env("docker-buildx", env), list[str]()
    for key, value in sorted(request.arguments.items()):
        if value is not None or env.get(key):
            options.append(f"--build-arg={key}" if value is None else f"--build-arg={key}={value}")
    options += [f"--label={key}={value}" for key, value in sorted(request.labels.items())]
    where = csv_field(f"dest={request.output}")
    output = f"type=oci,tar=false,{where},rewrite-timestamp=true,name={request.name}"
    with ExitStack() as stack:
        for name, context in sorted(request.contexts.items()):
            options.append(f"--build-context={name}={_place(context, stack)}")
        done = process.run(
            [
                *("docker-buildx", "build", *_builder(request.builder), "--progress=plain"),
                *("--file", request.dockerfile, "--platform", ",".join(request.platforms)),
                *options,
                *("--provenance=false", "--sbom=false", f"--output={output}", request.context),
            ],
            env={**env, **WITHOUT_GIT, "SOURCE_DATE_EPOCH": str(request.epoch)},
            check=False,
        )
    if done.returncode != 0:
        raise _failure(done, request.builder, request.dockerfile.name)


def _place(context: Path | OciLayout, stack: ExitStack) -> str:
    """Spell a named context; a layout's address takes no path with a colon, so it gets a link's."""
    if isinstance(context, Path):
        return str(context)
    return f"oci-layout://{stack.enter_context(linked(context.folder))}@{context.digest}"


def _failure(done: process.Completed, builder: str, dockerfile: str = "the Dockerfile") -> OutsideError:
    failed, last = process.ProgramFailedError(done), _last_word(done.stderr)
    if not last.startswith("ERROR:"):
        return failed
    if _SOLVING.match(last) and _DOCKERFILE.search(last):
        return DockerfileError(done, dockerfile)
    if _UNREACHED.search(last):
        happened, means = "cannot be reached", "BuildKit is not there, or went away during the build"
    elif _NO_ANSWER.search(last):
        happened, means = "did not answer", "BuildKit, or what stands before it, is not able to at the moment"
    else:
        return failed
    outside = OutsideError(
        f"the builder {builder or 'that is selected'} {happened}: {last.removeprefix('ERROR: ')}",
        means=means,
        next_step="run again when it answers",
    )
    outside.__cause__ = failed
    return outside


def _last_word(stderr: str) -> str:
    """Return buildx's own last line: a step's words may hold the same, but come before it.

    Of an answer that was not gRPC's, its body follows.
    """
    *before, last = stderr.strip().splitlines() or [""]
    return before[-1] if before and last.startswith('data: "') else last


def _builder(name: str) -> tuple[str, ...]:
    return ("--builder", name) if name else ()
