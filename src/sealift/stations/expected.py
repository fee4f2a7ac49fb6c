"""The image that the plan, its base and the proven binaries describe, to compare what was built with.

BuildKit writes it: https://github.com/moby/buildkit/tree/master/exporter/containerimage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sealift.model.names import Digest, Platform
from sealift.model.plan import Plan
from sealift.oci.documents import (
    CONFIG,
    INDEX,
    JSON,
    LAYER,
    MANIFEST,
    Configuration,
    Descriptor,
    HealthCheck,
    History,
    differences,
)
from sealift.stations.smoke import HEALTH_PORT, METRICS_PORT

PORTS = frozenset([f"{HEALTH_PORT}/tcp", f"{METRICS_PORT}/tcp"])
# BuildKit's mark on a layer whose times it set.
REWRITTEN = "buildkit/rewritten-timestamp"
FROM_DOCKERFILE, FROM_EXPORTER = "buildkit.dockerfile.v0", "buildkit.exporter.image.v0"
# containerd's names of platforms, which BuildKit writes: v8 is what arm64 is anyway.
DEFAULT_VARIANTS = {"arm": "v7"}
SECOND = 1_000_000_000
_FRACTION = re.compile(r"(?:\.|(\.\d*?[1-9]))0*Z$")
# The limits of a health check that says soon that a service is not well: nanoseconds, and tries.
HEALTH_LIMITS: Mapping[str, tuple[int, int]] = {
    "interval": (SECOND, 300 * SECOND),
    "timeout": (SECOND // 10, 60 * SECOND),
    "start_period": (0, 300 * SECOND),
    "start_interval": (0, 60 * SECOND),
    "retries": (1, 10),
}


def moment(seconds: int) -> str:
    """Write a time as Go does."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def variant_of(platform: Platform) -> str:
    """Return the variant that an image for a platform carries; nothing for most."""
    return platform.variant or DEFAULT_VARIANTS.get(platform.arch, "")


def platform_entry(platform: Platform) -> JSON:
    """Return how an index and a configuration name a platform."""
    variant = variant_of(platform)
    return {"os": platform.os, "architecture": platform.arch} | ({"variant": variant} if variant else {})


def index(entries: Sequence[tuple[Platform, Digest, int]]) -> JSON:
    """Return the index of manifests with their sizes."""
    manifests = [
        {"mediaType": MANIFEST, "digest": digest, "size": size, "platform": platform_entry(platform)}
        for platform, digest, size in entries
    ]
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}


def manifest(plan: Plan, config: tuple[Digest, int], below: Sequence[Descriptor], got: JSON) -> JSON:
    """Return the manifest of a configuration and a base's layers with one layer above them.

    That layer's digest is taken from ``got``: what is in it is compared by itself. BuildKit may leave out
    what layers are annotated with, but adds nothing else.
    """
    marked: list[tuple[Digest, int, Mapping[str, str]]] = [
        (layer.digest, layer.size, layer.annotations) for layer in below
    ]
    above = got["layers"][len(below) : len(below) + 1]
    marked += [(ours["digest"], ours["size"], {REWRITTEN: str(plan.time)}) for ours in above]
    layers = []
    for number, (digest, size, mark) in enumerate(marked):
        kept = mark and number < len(got["layers"]) and "annotations" in got["layers"][number]
        layers.append(
            {"mediaType": LAYER, "digest": digest, "size": size}
            | ({"annotations": dict(mark)} if kept else {})
        )
    described = {"mediaType": CONFIG, "digest": config[0], "size": config[1]}
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": layers}


def configuration(plan: Plan, platform: Platform, below: Configuration, ours: Sequence[Digest]) -> JSON:
    """Return what a configuration says beside what an engine starts, and its history.

    ``ours`` is what it calls the layer above the base: layers are hashed where they are read.
    """
    found: JSON = {
        **platform_entry(platform),
        "created": moment(plan.time),
        "rootfs": {"type": "layers", "diff_ids": [*below.rootfs.diff_ids, *ours]},
    }
    return found | ({"author": below.author} if below.author else {})


def odd_ports(ports: Mapping[str, Any]) -> Iterator[str]:
    """Say which ports an image exposes without anything that was planned to answer there."""
    for port, value in sorted(ports.items()):
        if port not in PORTS or value != {}:
            yield f"ExposedPorts: {port} is not one of {', '.join(sorted(PORTS))}"


def odd_health_check(check: HealthCheck) -> Iterator[str]:
    """Say what makes a health check one that says nothing in time; zero is the engine's own value."""
    for name, (lowest, highest) in HEALTH_LIMITS.items():
        value = getattr(check, name)
        if value and not lowest <= value <= highest:
            yield f"health check: {name} is {value}, expected {lowest} to {highest}"


def odd_history(
    plan: Plan, binary: str, got: Configuration, below: Configuration, layers: int
) -> Iterator[str]:
    """Say what a history tells that did not happen; ``layers`` counts those of the base.

    Where the base's own history is whole, ours is its history and what the Dockerfile did. Where it is not,
    BuildKit fills it up, and only what each step says of itself can be looked at.
    """
    of_layers = sum(not step.empty_layer for step in got.history)
    if of_layers != layers + 1:
        yield f"history: {of_layers} steps for {layers + 1} layers"
    whole = sum(not step.empty_layer for step in below.history) == layers
    known = len(below.history) if whole and all(step.created for step in below.history) else 0
    if known:
        yield from differences(_steps(below.history), _steps(got.history[:known]), "history")
    inherited = {step.created_by for step in below.history}
    copies = 0
    for number, step in enumerate(got.history[known:], known):
        if not known and step.created_by in inherited:
            continue
        if step.created != moment(plan.time) and known:
            yield f"history[{number}].created: expected {moment(plan.time)}, got {step.created}"
        if step.author or step.comment not in (FROM_DOCKERFILE, FROM_EXPORTER):
            yield f"history[{number}]: made by {step.author or step.comment!r}, not by BuildKit"
        if not step.empty_layer and step.comment == FROM_DOCKERFILE:
            copies += 1
        if step.comment == FROM_DOCKERFILE and not _happened(step, plan, binary, got):
            yield f"history[{number}]: {step.created_by!r} is not what a planned image is made with"
    if copies != 1:
        yield f"history: {copies} steps add files, expected 1"


def _steps(history: Sequence[History]) -> list[JSON]:
    """Return steps to compare; Go writes the times that it read in its own form."""
    return [
        {name: getattr(step, name) for name in step.__struct_fields__}
        | {"created": _FRACTION.sub(r"\1Z", (step.created or "").replace("+00:00", "Z"))}
        for step in history
    ]


def _happened(step: History, plan: Plan, binary: str, got: Configuration) -> bool:
    """Tell whether a step is one that leads to the configuration that is compared with the plan's."""
    word, _, rest = step.created_by.partition(" ")
    if not step.empty_layer:
        copied = rf"(?:--ch(?:mod|own)=[\w:]+ )*\S+ {re.escape(binary)} # buildkit"
        return word == "COPY" and re.fullmatch(copied, rest) is not None
    happened = {
        "ARG": all(_is_argument(part, got) for part in rest.split(" ")),
        "USER": rest == plan.config.image.user,
        "ENTRYPOINT": rest == f'["{binary}"]',
        "EXPOSE": {*rest.strip("[]").split()} <= {*(got.config.exposed_ports or {})},
        "HEALTHCHECK": rest == _health_check(got.config.healthcheck or HealthCheck()),
        "LABEL": True,  # which labels there are is compared
    }
    return happened.get(word, False)


def _is_argument(text: str, got: Configuration) -> bool:
    """Tell whether an argument of a build has the value that BuildKit gives to it for this platform."""
    name, _, value = text.partition("=")
    given = {
        "TARGETOS": got.os,
        "TARGETARCH": got.architecture,
        "TARGETVARIANT": got.variant,
        "TARGETPLATFORM": "/".join(filter(None, (got.os, got.architecture, got.variant))),
    }
    return re.fullmatch(r"\w+", name) is not None and value == given.get(name, value)


def _health_check(check: HealthCheck) -> str:
    """Write a health check as Go prints the value."""
    return (
        f"{{Test:[{' '.join(check.test)}] Interval:{_duration(check.interval)} "
        f"Timeout:{_duration(check.timeout)} StartPeriod:{_duration(check.start_period)} "
        f"StartInterval:{_duration(check.start_interval)} Retries:{check.retries}}}"
    )


def _duration(nanoseconds: int) -> str:
    """Write a time as Go's time.Duration prints it, to the millisecond."""
    if 0 < nanoseconds < SECOND:
        return f"{nanoseconds / 1_000_000:g}ms"
    minutes, rest = divmod(nanoseconds, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / SECOND:g}s"
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds
