"""Equals of gcr.io/distroless, assembled from Debian's signed packages where the real ones cannot be reached.

The images hold what distroless puts into ``static`` and ``base`` with the tag ``nonroot``: the same
packages and generated files, one layer for each, the same configuration. Same packages, same digests, in any
folder.

    bases = assemble_all("debian12", [Platform("linux/amd64")], cache=Path("cache"), out=Path("bases"))
    print(bases["static"].digest, bases["static"].packages)
"""

from __future__ import annotations

import contextvars
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
from filelock import FileLock

from sealift import records
from sealift.console import say
from sealift.errors import UsageError
from sealift.model.names import Digest, Platform
from sealift.places import shell_word
from sealift.rehearsal import apt
from sealift.rehearsal.debian import Deb
from sealift.rehearsal.distroless import (
    ANNOTATIONS,
    CERTIFICATES,
    CONFIG,
    KINDS,
    Kind,
    Suite,
    SuiteName,
    Tree,
    suite_of,
    trees,
)
from sealift.rehearsal.oci_writer import Packed, writing
from sealift.threads import threads_of
from sealift.tools.layout import NOT_WHOLE, Layout

T = TypeVar("T")

# Raise it whenever the same packages would give other bytes: what a cache holds was made by this recipe.
RECIPE = 1
# How Debian spells the architectures that Go spells otherwise.
DEBIAN_ARCH = {"arm": "armhf", "ppc64le": "ppc64el", "386": "i386"}


@dataclass(frozen=True, kw_only=True)
class Package:
    """One package in an image, as its own control file names it, and the hash of its .deb."""

    name: str
    version: str
    source: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class AssembledBase:
    """One assembled image for all its platforms."""

    kind: Kind
    suite: SuiteName
    layout: Path
    digest: Digest
    packages: dict[Platform, tuple[Package, ...]]


Debs = Mapping[Platform, Mapping[str, Deb]]


def fetch_debs(suite: SuiteName, platform: Platform, cache: Path) -> Path:
    """Return a folder with both images' packages; within a day of the last fetch, without the network."""
    chosen = suite_of(suite)
    if platform.os != "linux":
        raise UsageError(f"Debian has no packages for {platform}", next_step="choose linux platforms")
    arch = DEBIAN_ARCH.get(platform.arch, platform.arch)
    return apt.fetch(chosen.codename, arch, chosen.names, cache / "debian")


def assemble(
    kind: Kind, suite: SuiteName, platforms: Sequence[Platform], out: Path, debs: Mapping[Platform, Path]
) -> AssembledBase:
    """Assemble one image for several platforms from folders of packages."""
    chosen = suite_of(suite)
    read = _read(chosen, {platform: debs[platform] for platform in sorted(set(platforms))})
    return _write(kind, chosen, read, _layers(kind, chosen, read), out)


def assemble_all(
    suite: SuiteName, platforms: Sequence[Platform], cache: Path, out: Path
) -> dict[Kind, AssembledBase]:
    """Assemble both images as ``out/static`` and ``out/base``.

    What was assembled before from the same packages is copied from the cache, if it has the digests that were
    recorded then.
    """
    chosen = suite_of(suite)
    platforms = sorted(set(platforms))  # so that their order does not change the index
    fetched = _at_once(partial(fetch_debs, suite, platform, cache) for platform in platforms)
    folders = dict(zip(platforms, fetched, strict=True))
    read = _read(chosen, folders)
    key = _key(chosen, read)
    kept, name = cache.resolve() / "bases" / key, f"bases {key}"
    record = kept.with_suffix(".record")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.parent / f"{suite}.lock"):
        known = records.read(record, name)
        taken = {kind: _take(kept / kind, out / kind) for kind in KINDS} if known else {}
        if taken and _recorded(taken) == known:
            return {k: _assembled(k, chosen, read, out / k, digest) for k, digest in taken.items() if digest}
        if kept.exists():
            say(f"the bases in {shell_word(kept)} do not match this user's record: assembling them again")
        layers = _layers("base", chosen, read)
        # base is static and a few more, so that each layer is made once.
        static = {platform: of_platform[: -len(chosen.base)] for platform, of_platform in layers.items()}
        made: dict[Kind, AssembledBase] = {
            "static": _write("static", chosen, read, static, out / "static"),
            "base": _write("base", chosen, read, layers, out / "base"),
        }
        copied = {kind: _take(out / kind, kept / kind) for kind in KINDS}
        records.write(record, name, _recorded(copied))
    return made


def _recorded(digests: Mapping[Kind, Digest | None]) -> bytes:
    return " ".join(f"{kind}={digests[kind]}" for kind in KINDS).encode()


def _at_once(jobs: Iterable[Callable[[], T]]) -> list[T]:
    """Run jobs in threads, each in this context, so that its programs are recorded where they belong."""
    # Decompressing, compressing and hashing let other threads run.
    with threads_of(os.cpu_count() or 2) as pool:
        running = [pool.submit(contextvars.copy_context().run, job) for job in jobs]
        return [job.result() for job in running]


def _read(suite: Suite, folders: Mapping[Platform, Path]) -> Debs:
    return {platform: _read_folder(suite, platform, folder) for platform, folder in folders.items()}


def _read_folder(suite: Suite, platform: Platform, folder: Path) -> dict[str, Deb]:
    found = {deb.name: deb for deb in map(Deb.read, sorted(folder.glob("*.deb")))}
    missing = [name for name in suite.names if name not in found]
    if missing:
        raise UsageError(
            f"{folder} lacks {', '.join(missing)} for {platform}",
            means=f"an image of {suite.name} cannot be assembled",
            next_step=f"rm -r {shell_word(folder)}, then run this again",
        )
    return {name: found[name] for name in suite.names}


def _key(suite: Suite, debs: Debs) -> str:
    """Name everything that the images follow from."""
    inputs = {str(p): {name: deb.sha256 for name, deb in found.items()} for p, found in debs.items()}
    # Another zlib may compress to other bytes.
    made_from = {"recipe": RECIPE, "suite": suite.name, "zlib": zlib.ZLIB_RUNTIME_VERSION, "debs": inputs}
    return Digest.of(msgspec.json.encode(made_from, order="sorted")).hex


def _take(source: Path, to: Path) -> Digest | None:
    """Copy a layout, hashing every blob on the way; one that is not whole is not taken."""
    layout = Layout(source)
    try:
        with writing(to) as new:
            for data in layout.blobs():
                new.blob(data, "")
            for name in ("oci-layout", "index.json"):
                shutil.copyfile(source / name, new.root / name)
        return layout.index()
    except NOT_WHOLE:
        return None


def _write(
    kind: Kind, suite: Suite, debs: Debs, layers: Mapping[Platform, Sequence[Packed]], out: Path
) -> AssembledBase:
    with writing(out) as layout:
        images = [layout.image(platform, layers[platform], CONFIG, ANNOTATIONS) for platform in debs]
        digest = layout.index(images, "nonroot")
    return _assembled(kind, suite, debs, out, digest)


def _assembled(kind: Kind, suite: Suite, debs: Debs, layout: Path, digest: Digest) -> AssembledBase:
    names = suite.names if kind == "base" else (*suite.static, CERTIFICATES)
    packages = {p: tuple(_package(found[name]) for name in names) for p, found in debs.items()}
    return AssembledBase(kind=kind, suite=suite.name, layout=layout, digest=digest, packages=packages)


def _package(deb: Deb) -> Package:
    return Package(name=deb.name, version=deb.version, source=deb.source, sha256=deb.sha256)


def _layers(kind: Kind, suite: Suite, debs: Debs) -> dict[Platform, list[Packed]]:
    planned = {platform: trees(kind, suite, found) for platform, found in debs.items()}
    made = iter(_at_once(partial(_pack, tree) for of_platform in planned.values() for tree in of_platform))
    return {platform: [next(made) for _ in of_platform] for platform, of_platform in planned.items()}


def _pack(tree: Tree) -> Packed:
    return tree().pack()
