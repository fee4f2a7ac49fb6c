"""Image: one reproducible multi-platform OCI layout for each variant, from proven binaries alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sealift.elf.layer import GZIP, Content, Steps, read_layer, steps_of
from sealift.elf.rootfs import Entry, Rootfs
from sealift.errors import RefusedError, UsageError
from sealift.model.evidence import Built, BuiltPlatform, Proven
from sealift.model.exceptions import holding
from sealift.model.names import Digest, Platform, Repository, RunPath
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.model.world import Base
from sealift.oci import documents
from sealift.oci.documents import Configuration, Manifest, differences
from sealift.oci.tarform import TarEntry, hidden, read_entries
from sealift.stations import distroless, expected
from sealift.stations.gate import Looks
from sealift.tools import buildx, git
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
# What is compared by name; nothing else may be there.
NAMED = frozenset([*INHERITED, "User", "Entrypoint", "Cmd", "Healthcheck", "Labels", "ExposedPorts"])
PROGRAM_MODE = 0o755


# The labels that tell which release an image is of: its version, and whose.
VERSION_LABEL = "org.opencontainers.image.version"
OUR_LABELS = frozenset({"org.opencontainers.image.source", "org.opencontainers.image.title"})


def labels(plan: Plan) -> dict[str, str]:
    """Return what the image says of itself, in the names of the OCI image specification."""
    image, prefix = plan.config.image, "org.opencontainers.image"
    source = plan.config.source_url
    return {
        f"{prefix}.created": expected.moment(plan.time),
        f"{prefix}.description": str(image.description),
        f"{prefix}.licenses": str(image.licenses),
        f"{prefix}.revision": plan.commit,
        f"{prefix}.source": source,
        f"{prefix}.title": str(image.title),
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
    except (NotThereError, UsageError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
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
    git.refuse_leaving(source, config.dockerfile)
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
            # Of one platform alone BuildKit would write a manifest without an index.
            arguments={"SUITE": plan.config.suite, "BUILDKIT_MULTI_PLATFORM": "1"},
            platforms=plan.config.platforms,
            labels=labels(plan),
            name=f"{config.repository}:{plan.version}",
            epoch=plan.time,
            output=unfinished,
        ),
        env=env,
    )
    built = inspect(variant, plan, proven, Layout(unfinished), base, programs)
    run.take(unfinished, built.layout)
    return built


def inspect(
    variant: str,
    plan: Plan,
    proven: Mapping[Cell, Proven],
    layout: Layout,
    base: Base,
    programs: Mapping[str, Digest],
) -> Built:
    """Compare a finished layout with what was planned, to its last byte."""
    looks = Looks("image", variant)
    _look_user(looks, plan)
    platforms: dict[str, BuiltPlatform] = {}
    digest = None
    try:
        digest = _read_top(layout)
        platforms = _look_index(looks, variant, plan, proven, layout, digest, base)
    except (RefusedError, UsageError) as err:  # a blob that is missing, or an unknown kind of file
        looks.refused(err.happened)
    gates = looks.done(
        means="the image is not what was planned", next_step=f"look at {plan.variant(variant).dockerfile}"
    )
    return Built(
        gates=gates,
        layout=RunPath(f"images/{variant}"),
        digest=digest or layout.index(),
        platforms=platforms,
        base_digest=base.digest,
        programs=dict(programs),
    )


def _look_user(looks: Looks, plan: Plan) -> None:
    user, today = plan.config.image.user, datetime.now(UTC).date()
    if user.is_root:
        words = f"the image runs as {user}, with the rights of root or its group"
        looks.unless_waived(words, holding(plan.waivers, "user", user, today))


@dataclass(frozen=True)
class _Image:
    """One platform's image, read in the one form that every reader takes alike."""

    layout: Layout
    digest: Digest
    manifest: documents.Document[Manifest]
    config: documents.Document[Configuration]

    @classmethod
    def read(cls, layout: Layout, digest: Digest, name: str) -> _Image:
        manifest = documents.read_manifest(layout.read(digest), f"the manifest of {name}")
        config = manifest.value.config.digest
        return cls(
            layout,
            digest,
            manifest,
            documents.read_configuration(layout.read(config), f"the configuration of {name}"),
        )

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.config.raw.get("config") or {})


def _read_top(layout: Layout) -> Digest:
    """Return the one index of a layout, whose index.json other programs read for themselves."""
    path = layout.root / "index.json"
    if path.is_file():
        documents.read_json(path.read_bytes(), path.name)
    digest = layout.index()
    documents.read_top(path.read_bytes(), path.name, len(layout.read(digest)))
    return digest


def _look_index(
    looks: Looks,
    variant: str,
    plan: Plan,
    proven: Mapping[Cell, Proven],
    layout: Layout,
    digest: Digest,
    base: Base,
) -> dict[str, BuiltPlatform]:
    index = documents.read_index(layout.read(digest), "the index")
    manifests = layout.platforms(digest)
    looks.equal("platforms", expected=sorted(plan.config.platforms), got=sorted(manifests))
    sizes = {m: len(layout.read(m)) for m in manifests.values()}
    wanted = expected.index([(p, m, sizes[m]) for p, m in manifests.items()])
    _look_equal(looks, "the index", wanted, index.raw)
    below = Layout(base.layout)
    documents.read_index(below.read(base.digest), f"the index of {base.name}")
    bases = below.platforms(base.digest)
    return {
        str(cell.platform): _look_platform(
            looks,
            cell,
            plan,
            proven[cell],
            _Image.read(layout, manifests[cell.platform], str(cell.platform)),
            _Image.read(below, bases.of(cell.platform), f"{base.name} ({cell.platform})"),
            base,
        )
        for cell in plan.cells_of(variant)
        if cell.platform in manifests
    }


def _look_platform(
    looks: Looks, cell: Cell, plan: Plan, proven: Proven, ours: _Image, below: _Image, base: Base
) -> BuiltPlatform:
    platform, binary = cell.platform, f"/{plan.config.service}"
    _look_config(looks, platform, plan, ours.config, below.settings, binary)
    _look_documents(looks, platform, plan, ours, below, binary)
    of_base = below.manifest.value.layers
    layers = ours.layout.layers(ours.digest)
    looks.equal(
        f"{platform}: layers of the base",
        expected=[layer.digest for layer in of_base],
        got=[layer.digest for layer in layers[: len(of_base)]],
    )
    looks.equal(f"{platform}: layers", expected=len(of_base) + 1, got=len(layers))
    for layer in layers[len(of_base) :]:
        _look_layer(looks, platform, plan, ours.layout.read(layer.digest), str(layer.digest))
    _look_base(looks, platform, below, base)
    rootfs = Rootfs.from_layout(ours.layout, ours.digest)
    bare = Rootfs.from_layout(below.layout, below.digest, base.name)
    # A layer adds, changes and hides: only what is the same in both trees is the base's.
    changed = sorted({e.path for e in _tree(rootfs) ^ _tree(bare)})
    # On another base every file would be named.
    looks.equal(f"{platform}: files above the base", expected=[binary], got=changed[:MOST_NAMED])
    there = rootfs.resolve(binary)
    is_file = binary in changed and there is not None and there.kind == "file"
    shipped = Digest.of(rootfs.read(binary)) if is_file else None
    looks.equal(f"{platform}: binary in the layer", expected=proven.sha256, got=shipped)
    _look_files(looks, platform, rootfs)
    _look_odd(looks, f"{platform}: files of {base.name}", distroless.odd_files(bare, SHELLS))
    return BuiltPlatform(
        digest=ours.digest,
        binary_sha256=proven.sha256.hex,
        compressed_bytes=sum(b.size for b in layers),
    )


def _look_documents(
    looks: Looks, platform: Platform, plan: Plan, ours: _Image, below: _Image, binary: str
) -> None:
    """Compare manifest and configuration with the plan's, but for what an engine starts."""
    named = ours.manifest.value.config
    manifest = expected.manifest(
        plan, (named.digest, ours.config.size), below.manifest.value.layers, ours.manifest.raw
    )
    _look_equal(looks, f"{platform}: manifest", manifest, ours.manifest.raw)
    got, of_base = ours.config.value, below.config.value
    wanted = expected.configuration(plan, platform, of_base, got.rootfs.diff_ids[-1:])
    rest = {key: value for key, value in ours.config.raw.items() if key not in ("config", "history")}
    _look_equal(looks, f"{platform}: configuration", wanted, rest)
    _look_odd(
        looks,
        f"{platform}: history",
        expected.odd_history(plan, binary, got, of_base, len(below.manifest.value.layers)),
    )
    _look_odd(looks, f"{platform}: settings of the base", distroless.odd_settings(below.settings))


def _look_layer(looks: Looks, platform: Platform, plan: Plan, blob: bytes, name: str) -> None:
    """Compare the one layer above the base with the one file that it is to hold."""
    try:
        content = read_layer(blob, f"the layer {name}").content
        found = read_entries(content.data, f"the layer {name}", plain=True)
        wrapping = content.wrapping
    except (RefusedError, UsageError) as err:
        looks.refused(f"{platform}: {err.happened}")
        return
    # No flag: no name, comment or extra field in the gzip header either.
    if not wrapping and not blob.startswith(GZIP + b"\x08\x00"):
        wrapping = "gzip with more than its data"
    looks.equal(f"{platform}: wrapping of the layer", expected="", got=wrapping)
    service = plan.config.service
    wanted = TarEntry(
        path=service,
        steps=(service,),
        kind="file",
        mode=PROGRAM_MODE,
        uid=0,
        gid=0,
        size=next((entry.size for entry in found if entry.path == service), 0),
        mtime=plan.time,
        target="",
        owner="",
        group="",
    )
    looks.equal(f"{platform}: entries of the layer", expected=[wanted], got=found[:MOST_NAMED])


def _look_base(looks: Looks, platform: Platform, below: _Image, base: Base) -> None:
    """Look whether every reader unpacks the base's layers as ours does."""
    odd: list[str] = []
    linked: set[Steps] = set()
    for number, layer in enumerate(below.layout.layers(below.digest)):
        name = f"layer {number} of {base.name}"
        try:
            content = read_layer(below.layout.read(layer.digest), name).content
            found = read_entries(content.data, name, plain=False)
        except (RefusedError, UsageError) as err:
            odd.append(err.happened)
            continue
        if content.wrapping:
            odd.append(f"{name} is {content.wrapping}")
        if not _same(found, content):
            odd.append(f"{name} is unpacked in two ways")
        odd += [f"{name} hides {path}, which has another name below" for path in hidden(linked, found)]
        linked |= {steps_of(entry.target, name) for entry in found if entry.kind == "hardlink"}
    _look_odd(looks, f"{platform}: layers of {base.name}", odd)


def _same(entries: Iterable[TarEntry], content: Content) -> bool:
    """Tell whether two readers of a tar found the same in it."""
    one = [(e.steps, e.kind, e.mode, e.uid, e.gid, e.size) for e in entries]
    return one == [(m.steps, m.kind, m.mode, m.uid, m.gid, m.size) for m in content.members]


def _look_equal(looks: Looks, what: str, wanted: object, got: object) -> None:
    _look_odd(looks, what, differences(wanted, got))


def _look_odd(looks: Looks, what: str, found: Iterable[str]) -> None:
    odd = [f"{what}: {words}" for words in found]
    for words in odd:
        looks.refused(words)
    if not odd:
        looks.passed(f"{what}: as planned")


def _look_config(
    looks: Looks,
    platform: Platform,
    plan: Plan,
    found: documents.Document[Configuration],
    below: dict[str, Any],
    binary: str,
) -> None:
    whole = found.raw
    config = whole.get("config") or {}
    looks.equal(f"{platform}: platform in the configuration", expected=platform, got=Platform.of_oci(whole))
    looks.equal(f"{platform}: user", expected=plan.config.image.user, got=config.get("User"))
    looks.equal(f"{platform}: entrypoint", expected=[binary], got=config.get("Entrypoint"))
    looks.equal(f"{platform}: arguments", expected=None, got=config.get("Cmd"))
    asked = (config.get("Healthcheck") or {}).get("Test")
    looks.equal(f"{platform}: health check", expected=["CMD", binary, "-healthcheck"], got=asked)
    for key in INHERITED:
        looks.equal(f"{platform}: {key} of the base", expected=below.get(key), got=config.get(key))
    wanted, got = (below.get("Labels") or {}) | labels(plan), config.get("Labels") or {}
    for key in sorted({*wanted, *got}):
        looks.equal(f"{platform}: label {key}", expected=wanted.get(key), got=got.get(key))
    rest = {key: value for key, value in config.items() if key not in NAMED}
    odd = [
        *differences({}, rest),
        *expected.odd_ports(config.get("ExposedPorts") or {}),
        *expected.odd_health_check(found.value.config.healthcheck or documents.HealthCheck()),
    ]
    _look_odd(looks, f"{platform}: settings", odd)


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
