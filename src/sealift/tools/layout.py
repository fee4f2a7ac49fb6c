"""Read an OCI image layout folder, believing nothing but hashes.

Every blob is hashed when it is read, so what a caller gets is what the digest names.

    layout = Layout(Path("build/release/latest/images/static"))
    for platform, manifest in layout.platforms(layout.index()).items():
        print(platform, layout.config(manifest)["config"]["User"])
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sealift.errors import RefusedError, SealiftError, UsageError
from sealift.model.codec import decode
from sealift.model.names import Digest, Platform
from sealift.places import shell_word

T = TypeVar("T")


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    size: int
    media_type: str = ""
    platform: dict[str, Any] | None = None


class _Index(msgspec.Struct, frozen=True):
    manifests: tuple[_Descriptor, ...]


class _Manifest(msgspec.Struct, frozen=True):
    config: _Descriptor
    layers: tuple[_Descriptor, ...]


@dataclass(frozen=True, kw_only=True)
class LayerBlob:
    """One layer as it lies in the folder: still compressed, and not yet hashed."""

    digest: Digest
    media_type: str
    size: int
    path: Path


@dataclass(frozen=True, eq=False)
class Manifests(Mapping[Platform, Digest]):
    """The image that an index lists for each platform; ``[]`` raises where there is none, or not one.

    Only the platforms that are looked up matter: a base has many more.
    """

    index: Digest
    listed: Mapping[Platform, tuple[Digest, ...]] = field(default_factory=dict)

    def __getitem__(self, platform: Platform) -> Digest:
        digests = self.listed[platform]
        if len(digests) > 1:
            raise RefusedError(
                f"the index {self.index} lists {platform} twice: {' and '.join(digests)}",
                means="which of them a machine starts would depend on its engine",
                next_step="build the image for each platform once",
            )
        return digests[0]

    def __iter__(self) -> Iterator[Platform]:
        return iter(self.listed)

    def __len__(self) -> int:
        return len(self.listed)

    def of(self, platform: Platform) -> Digest:
        """Return a platform's image; UsageError names the platforms that there are instead."""
        if platform not in self.listed:
            raise UsageError(
                f"the index {self.index} has no image for {platform}",
                means=f"it has {', '.join(sorted(self.listed)) or 'none at all'}",
                next_step="take another image, or leave the platform out of ci/release.yaml",
            )
        return self[platform]


# How a layout shows that it is damaged, or none at all.
NOT_WHOLE = (SealiftError, OSError, KeyError, TypeError)


@dataclass(frozen=True)
class Layout:
    """An OCI image layout folder."""

    root: Path

    def whole(self) -> Digest | None:
        """Return the digest of the one index, if all that it names is here with its hash; else None."""
        try:
            (self.root / "oci-layout").read_bytes()
            for _ in self.blobs():
                pass
            return self.index()
        except NOT_WHOLE:
            return None

    def blobs(self, *, only: Container[Platform] | None = None) -> Iterator[bytes]:
        """Read and hash what the index names: itself, then the images, or those of some platforms."""
        index = self.index()
        yield self.read(index)
        for platform, manifests in self.platforms(index).listed.items():
            for manifest in manifests if only is None or platform in only else ():
                described = self.manifest(manifest)
                named = [Digest(d["digest"]) for d in (described["config"], *described["layers"])]
                yield from map(self.read, (manifest, *named))

    def index(self) -> Digest:
        """Return the digest of the one image or index that index.json names.

        More than one is refused: BuildKit appends to a folder that it finds, and which of them was
        meant cannot be told.
        """
        path = self.root / "index.json"
        try:
            raw = path.read_bytes()
        except OSError as err:
            raise UsageError(
                f"{self.root} is not an OCI image layout: {path.name} cannot be read ({err.strerror})",
                next_step="sealift image",
            ) from err
        named = {entry.digest for entry in _decode(raw, _Index, str(path)).manifests}
        if len(named) != 1:
            listed = ", ".join(sorted(named)) or "nothing"
            raise UsageError(
                f"{path} names {len(named)} images, not one: {listed}",
                means="which of them is meant cannot be told",
                next_step=f"empty {shell_word(self.root)} and build the image again",
            )
        return Digest(named.pop())

    def blob_path(self, digest: Digest) -> Path:
        """Return where a blob lies; one that is not there is an error."""
        path = self.root / "blobs" / "sha256" / digest.hex
        if not path.is_file():
            raise UsageError(
                f"{self.root} lacks the blob {digest}",
                means="the layout was not written to its end, or part of it was removed",
                next_step=f"empty {shell_word(self.root)} and build the image again",
            )
        return path

    def read(self, digest: Digest) -> bytes:
        """Return a blob's bytes, which have that digest."""
        path = self.blob_path(digest)
        data = path.read_bytes()
        found = Digest.of(data)
        if found != digest:
            raise RefusedError(
                f"the blob {digest} in {self.root} has other bytes: {found}",
                means="the file was damaged or changed after it was written",
                next_step=f"empty {shell_word(self.root)} and build the image again",
            )
        return data

    def manifest(self, digest: Digest) -> dict[str, Any]:
        """Return a manifest or an index as it was written."""
        return _decode(self.read(digest), dict[str, Any], str(digest))

    def platforms(self, index_digest: Digest) -> Manifests:
        """Return each platform's manifest; an attestation is for no platform.

        Raises where no platform is left that has one image.
        """
        index = _decode(self.read(index_digest), _Index, f"the index {index_digest}")
        manifests = Manifests(index_digest, _listed(index))
        if index.manifests and all(len(digests) != 1 for digests in manifests.listed.values()):
            for entry in index.manifests:
                if entry.platform is None:
                    raise UsageError(f"the index {index_digest} lists {entry.digest} without a platform")
            dict(manifests)
        return manifests

    def config(self, manifest_digest: Digest) -> dict[str, Any]:
        """Return the image configuration that a manifest names."""
        digest = Digest(self._image(manifest_digest).config.digest)
        return _decode(self.read(digest), dict[str, Any], f"the configuration {digest}")

    def layers(self, manifest_digest: Digest) -> tuple[LayerBlob, ...]:
        """Return the layers of one platform's image, lowest first."""
        return tuple(self._layer(entry) for entry in self._image(manifest_digest).layers)

    def _image(self, digest: Digest) -> _Manifest:
        return _decode(self.read(digest), _Manifest, f"the manifest {digest}")

    def _layer(self, entry: _Descriptor) -> LayerBlob:
        digest = Digest(entry.digest)
        path = self.blob_path(digest)
        if path.stat().st_size != entry.size:
            raise RefusedError(
                f"the layer {digest} in {self.root} has {path.stat().st_size} bytes, "
                f"its manifest says {entry.size}",
                means="the file was damaged or changed after it was written",
                next_step=f"empty {shell_word(self.root)} and build the image again",
            )
        return LayerBlob(digest=digest, media_type=entry.media_type, size=entry.size, path=path)


def _listed(index: _Index) -> dict[Platform, tuple[Digest, ...]]:
    listed: dict[Platform, tuple[Digest, ...]] = {}
    for entry in index.manifests:
        try:
            platform = Platform.of_oci(entry.platform or {})
        except UsageError:
            continue  # Go cannot build for such a platform
        # BuildKit marks an attestation as unknown/unknown; other tools leave the platform out.
        if entry.platform is None or platform.os == "unknown":
            continue
        digest, before = Digest(entry.digest), listed.get(platform, ())
        listed[platform] = before if digest in before else (*before, digest)
    return listed


def _decode(raw: bytes, kind: type[T], what: str) -> T:
    try:
        return decode(raw, kind)
    except msgspec.DecodeError as err:
        raise UsageError(f"{what} is not what an OCI layout holds there: {err}") from err
