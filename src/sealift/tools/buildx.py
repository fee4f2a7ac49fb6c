"""buildx: one multi-platform build into an OCI layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sealift import process
from sealift.model.names import Platform


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

    No attestation goes into the index: its time stamps would make each build a new digest.
    """
    options = [f"--build-context={name}={place}" for name, place in sorted(request.contexts.items())]
    options += [f"--build-arg={key}={value}" for key, value in sorted(request.arguments.items())]
    options += [f"--label={key}={value}" for key, value in sorted(request.labels.items())]
    output = f"type=oci,tar=false,dest={request.output},rewrite-timestamp=true,name={request.name}"
    process.run(
        [
            *("docker-buildx", "build", *_builder(request.builder), "--progress=plain"),
            *("--file", request.dockerfile, "--platform", ",".join(request.platforms)),
            *options,
            *("--provenance=false", "--sbom=false", f"--output={output}", request.context),
        ],
        env={**env, "SOURCE_DATE_EPOCH": str(request.epoch)},
    )


def _builder(name: str) -> tuple[str, ...]:
    return ("--builder", name) if name else ()
