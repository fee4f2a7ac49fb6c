"""Image: one reproducible multi-platform OCI layout for each variant, from proven binaries alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sealift.elf.rootfs import Entry, Rootfs
from sealift.errors import UsageError
from sealift.model.evidence import Built, BuiltPlatform, Proven
from sealift.model.names import Digest, Platform, Repository
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.model.world import Base
from sealift.stations.gate import Looks
from sealift.tools import buildx
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry
from sealift.tools.registry_http import NotThereError

SHELLS = frozenset(
    ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "busybox", "toybox"]
)
SETUID = 0o6000
EXECUTABLE = 0o111
MOST_NAMED = 12
# What the Dockerfile says nothing of is the base's.
INHERITED = ("Env", "WorkingDir", "Volumes", "OnBuild", "Shell", "StopSignal")


# The labels that tell which release an image is of: its version, and whose.
VERSION_LABEL = "org.opencontainers.image.version"
OUR_LABELS = frozenset({"org.opencontainers.image.source", "org.opencontainers.image.title"})


def labels(plan: Plan) -> dict[str, str]:
    """Return what the image says of itself, in the names of the OCI image specification."""
    image, prefix = plan.config.image, "org.opencontainers.image"
    source = plan.config.source_url
    return {
        f"{prefix}.created": datetime.fromtimestamp(plan.time, UTC).isoformat().replace("+00:00", "Z"),
        f"{prefix}.description": image.description,
        f"{prefix}.licenses": image.licenses,
        f"{prefix}.revision": plan.commit,
        f"{prefix}.source": source,
        f"{prefix}.title": image.title,
        f"{prefix}.url": source,
        f"{prefix}.version": str(plan.version),
    }


def image_labels(repository: Repository, digest: Digest, registry: Registry) -> Mapping[str, str] | None:
    """Read the labels of an image, or of an index's first one; None where they cannot be told."""
    try:
        manifest = json.loads(registry.manifest(repository.at(digest)))
        if "manifests" in manifest:
            # What stands for no platform is an attestation, by BuildKit's custom.
            images = [c for c in manifest["manifests"] if (c.get("platform") or {}).get("os") != "unknown"]
            return image_labels(repository, Digest(images[0]["digest"]), registry) if images else {}
        config = json.loads(registry.blob(repository, Digest(manifest["config"]["digest"])))
        return dict((config.get("config") or {}).get("Labels") or {})
    except (NotThereError, UsageError, ValueError, TypeError, KeyError, AttributeError):
        return None


def image(
    variant: str,
    plan: Plan,
    proven: Mapping[Cell, Proven],
    *,
    source: Path,
    base: Base,
    builder: str,
    env: Mapping[str, str],
    programs: Mapping[str, Digest],
    run: RunFolder,
) -> Built:
    """Build one variant for every platform, then look at every byte that was added to its base."""
    config = plan.variant(variant)
    unfinished = run.work / f"{variant}.layout"
    shutil.rmtree(unfinished, ignore_errors=True)
    buildx.build(
        buildx.BuildRequest(
            builder=builder,
            dockerfile=source / config.dockerfile,
            context=source,
            contexts={
                "binary": run.dist(variant),
                # By its name upstream: BuildKit would write the layers of a replaced stage anew.
                base.name: buildx.OciLayout(folder=base.layout, digest=base.digest),
            },
            arguments={"SUITE": plan.config.suite},
            platforms=plan.config.platforms,
            labels=labels(plan),
            name=f"{config.repository}:{plan.version}",
            epoch=plan.time,
            output=unfinished,
        ),
        env=env,
    )
    built = inspect(variant, plan, proven, Layout(unfinished), base, programs)
    final = run.images / variant
    shutil.rmtree(final, ignore_errors=True)
    final.parent.mkdir(parents=True, exist_ok=True)
    unfinished.rename(final)
    return built


def inspect(
    variant: str,
    plan: Plan,
    proven: Mapping[Cell, Proven],
    layout: Layout,
    base: Base,
    programs: Mapping[str, Digest],
) -> Built:
    """Look at a finished layout: nothing in it is taken on trust."""
    looks = Looks("image", variant)
    digest = layout.index()
    manifests = layout.platforms(digest)
    looks.equal("platforms", expected=sorted(plan.config.platforms), got=sorted(manifests))
    platforms = {
        str(cell.platform): _look_platform(
            looks, cell, plan, proven[cell], layout, manifests[cell.platform], base
        )
        for cell in plan.cells_of(variant)
        if cell.platform in manifests
    }
    gates = looks.done(
        means="the image is not what was planned", next_step=f"look at {plan.variant(variant).dockerfile}"
    )
    return Built(
        gates=gates,
        layout=f"images/{variant}",
        digest=digest,
        platforms=platforms,
        base_digest=base.digest,
        programs=dict(programs),
    )


def _look_platform(
    looks: Looks, cell: Cell, plan: Plan, proven: Proven, layout: Layout, manifest: Digest, base: Base
) -> BuiltPlatform:
    platform, binary = cell.platform, f"/{plan.config.service}"
    base_layout = Layout(base.layout)
    base_manifest = base_layout.platforms(base.digest).of(platform)
    below_config = base_layout.config(base_manifest)["config"]
    _look_config(looks, platform, plan, layout.config(manifest), below_config, binary)
    below = [b.digest for b in base_layout.layers(base_manifest)]
    layers = layout.layers(manifest)
    looks.equal(
        f"{platform}: layers of the base", expected=below, got=[b.digest for b in layers[: len(below)]]
    )
    rootfs = Rootfs.from_layout(layout, manifest)
    bare = Rootfs.from_layout(base_layout, base_manifest, base.name)
    # A layer adds, changes and hides: only what is the same in both trees is the base's.
    changed = sorted({e.path for e in _tree(rootfs) ^ _tree(bare)})
    # On another base every file would be named.
    looks.equal(f"{platform}: files above the base", expected=[binary], got=changed[:MOST_NAMED])
    shipped = Digest.of(rootfs.read(binary)) if binary in changed else None
    looks.equal(f"{platform}: binary in the layer", expected=proven.sha256, got=shipped)
    _look_files(looks, platform, rootfs)
    return BuiltPlatform(
        digest=manifest,
        binary_sha256=proven.sha256.hex,
        compressed_bytes=sum(b.size for b in layers),
    )


def _look_config(
    looks: Looks,
    platform: Platform,
    plan: Plan,
    whole: dict[str, Any],
    below: dict[str, Any],
    binary: str,
) -> None:
    config = whole.get("config") or {}
    looks.equal(f"{platform}: platform in the configuration", expected=platform, got=Platform.of_oci(whole))
    looks.equal(f"{platform}: user", expected=plan.config.image.user, got=config.get("User"))
    looks.equal(f"{platform}: entrypoint", expected=[binary], got=config.get("Entrypoint"))
    looks.equal(f"{platform}: arguments", expected=None, got=config.get("Cmd"))
    asked = (config.get("Healthcheck") or {}).get("Test")
    looks.equal(f"{platform}: health check", expected=["CMD", binary, "-healthcheck"], got=asked)
    for key in INHERITED:
        looks.equal(f"{platform}: {key} of the base", expected=below.get(key), got=config.get(key))
    got = config.get("Labels") or {}
    for key, value in labels(plan).items():
        looks.equal(f"{platform}: label {key}", expected=value, got=got.get(key))


def _look_files(looks: Looks, platform: Platform, rootfs: Rootfs) -> None:
    entries = [e for e in rootfs.entries() if e.kind != "dir"]
    shells = sorted(
        e.path for e in entries if e.path.rsplit("/", 1)[-1] in SHELLS and _could_run(e.kind, e.mode)
    )
    looks.true(not shells, f"{platform}: no shell in {len(entries)} files", f"{platform}: shells: {shells}")
    privileged = sorted(e.path for e in entries if e.kind == "file" and e.mode & SETUID)
    looks.true(not privileged, f"{platform}: no setuid file", f"{platform}: setuid: {privileged}")


def _tree(rootfs: Rootfs) -> set[Entry]:
    """Return everything in an image, its root too; an entry knows which layer put it there."""
    return {*rootfs.entries(), *filter(None, [rootfs.resolve("/")])}


def _could_run(kind: str, mode: int) -> bool:
    return kind != "file" or bool(mode & EXECUTABLE)
