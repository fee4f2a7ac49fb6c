"""The kinds of image that are compared: the line's own, and the same service on fuller systems."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift.console import say
from sealift.elf.rootfs import Rootfs
from sealift.errors import OutsideError
from sealift.model.names import Digest, Platform
from sealift.network import child_env
from sealift.process import run
from sealift.provision.root import root_prefix
from sealift.rehearsal import apt
from sealift.rehearsal.bases import DEBIAN_ARCH, assemble_all
from sealift.rehearsal.distroless import SuiteName, suite_of
from sealift.rehearsal.oci_writer import LayerTar, Packed, writing
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry

TITLES = {
    "static": "distroless static",
    "base": "distroless base",
    "debian": "Debian (minbase)",
    "ubuntu": "Ubuntu",
    "alpine": "Alpine",
}
# Debian's own installers merge /usr themselves; else a package does it, and brings a perl of 50 MB for that.
LEAN = ("--include=usr-is-merged", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
# Where the fuller systems are published, and which of our binaries can run there: Alpine has no glibc.
FETCHED = {
    "ubuntu": ("docker.io/library/ubuntu:24.04", "base"),
    "alpine": ("docker.io/library/alpine:3.22", "static"),
}


@dataclass(frozen=True, kw_only=True)
class Service:
    """The service as an image holds it: its path, its bytes, and the image's own settings."""

    path: str
    binary: bytes
    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind: its base, and the image with the service, each one platform of a layout."""

    name: str
    base: tuple[Layout, Digest]
    image: tuple[Layout, Digest]

    @property
    def title(self) -> str:
        """What people call it."""
        return TITLES[self.name]


def ours(images: Path, platform: Platform, suite: SuiteName, cache: Path, folder: Path) -> tuple[Kind, ...]:
    """Take the line's images into ``folder``, and the bases that they stand on."""
    bases = assemble_all(suite, [platform], cache, folder / "bases")
    kinds = []
    for name, base in bases.items():
        shutil.copytree(images / name, folder / "images" / name, dirs_exist_ok=True)
        image = _chosen(folder / "images" / name, platform)
        kinds.append(Kind(name=str(name), base=_chosen(base.layout, platform), image=image))
    return tuple(kinds)


def service_of(kind: Kind) -> Service:
    """Take the service out of one of our images."""
    layout, manifest = kind.image
    config = layout.config(manifest)["config"]
    path = config["Entrypoint"][0]
    return Service(path=path, binary=Rootfs.from_layout(layout, manifest).read(path), config=config)


def full_system(suite: SuiteName, platform: Platform, folder: Path) -> list[Packed]:
    """Install the smallest whole Debian, apt and all, from this machine's mirror."""
    say("installing a whole Debian beside the others; about 40 seconds")
    codename, archive = suite_of(suite).codename, folder / "debian.tar"
    sources = folder / "debian.sources"
    sources.write_text(apt.mirror().sources(codename), encoding="utf-8")
    arch = DEBIAN_ARCH.get(platform.arch, platform.arch)
    argv = [
        *(root_prefix() or ()),
        "mmdebstrap",
        "--variant=minbase",
        "--quiet",
        f"--architectures={arch}",
        *LEAN,
        codename,
    ]
    run([*argv, str(archive), str(sources)], env=child_env("mmdebstrap"))
    raw = archive.read_bytes()
    archive.unlink()
    return [Packed(diff_id=Digest.of(raw), blob=gzip.compress(raw, 6, mtime=0))]


def fetched(reference: str, platform: Platform, folder: Path, registry: Registry) -> list[Packed]:
    """Fetch a published system's layers, or raise OutsideError where it cannot be had."""
    say(f"asking for {reference}")
    shutil.rmtree(folder, ignore_errors=True)
    registry.fetch_layout(reference, folder)
    layout = Layout(folder)
    manifest = layout.platforms(layout.index()).get(platform)
    if manifest is None:
        raise OutsideError(f"{reference} has no {platform}")
    diff_ids = layout.config(manifest)["rootfs"]["diff_ids"]
    return [
        Packed(diff_id=Digest(diff_id), blob=layout.read(layer.digest))
        for diff_id, layer in zip(diff_ids, layout.layers(manifest), strict=True)
    ]


def on_top(name: str, base: Sequence[Packed], service: Service, platform: Platform, folder: Path) -> Kind:
    """Put the service onto a system, in a layer of its own and with our images' settings."""
    layer = LayerTar().file(service.path.lstrip("/"), service.binary, 0o755).pack()
    alone = _written(folder / "bases" / name, base, {}, platform)
    image = _written(folder / "images" / name, [*base, layer], service.config, platform)
    return Kind(name=name, base=alone, image=image)


def _written(
    out: Path, layers: Sequence[Packed], config: Mapping[str, Any], platform: Platform
) -> tuple[Layout, Digest]:
    with writing(out) as layout:
        layout.index([layout.image(platform, layers, config, {})], "compared")
    return _chosen(out, platform)


def _chosen(folder: Path, platform: Platform) -> tuple[Layout, Digest]:
    layout = Layout(folder)
    return layout, layout.platforms(layout.index())[platform]
