r"""Write image layers and OCI layouts whose bytes follow from their content alone.

tree = LayerTar().directory("etc").file("etc/motd", b"hello\n")
with writing(Path("image")) as layout:
layer = layout.blob(tree.pack().blob, LAYER)
"""

from __future__ import annotations

import gzip
import io
import posixpath
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sealift.errors import DefectError
from sealift.model.names import Digest, Platform
from sealift.oci.documents import CONFIG, INDEX, LAYER, MANIFEST

REF_NAME = "org.opencontainers.image.ref.name"
EPOCH = "1970-01-01T00:00:00Z"
# The registries' usual variants: https://github.com/containerd/platforms normalises to the same.
VARIANTS = {"arm64": "v8", "arm": "v7"}

_LEVEL = 6


@dataclass(frozen=True, kw_only=True)
class Packed:
    """One layer: gzip bytes, and the digest of the tar inside."""

    diff_id: Digest
    blob: bytes


class LayerTar:
    """A layer's tar. Docker and Podman refuse one that names a path twice."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self._tar = tarfile.TarFile(
            fileobj=self._bytes, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8"
        )
        self._paths: set[str] = set()

    def directory(self, path: str, mode: int = 0o755, *, owner: int = 0, owner_name: str = "") -> LayerTar:
        """Add a directory; one that is there already stays as it is."""
        entry = _entry(path, mode)
        entry.uname = entry.gname = owner_name
        entry.type = tarfile.DIRTYPE
        entry.uid = entry.gid = owner
        if self._is_new(path):
            self._tar.addfile(entry)
        return self

    def file(self, path: str, data: bytes, mode: int = 0o644, *, mtime: int = 0) -> LayerTar:
        """Add a file and the directories above it."""
        parents = path.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            self.directory("/".join(parents[:depth]))
        entry = _entry(path, mode)
        entry.size = len(data)
        entry.mtime = mtime
        self._claim(path)
        self._tar.addfile(entry, io.BytesIO(data))
        return self

    def copy(self, source: tarfile.TarFile) -> LayerTar:
        """Add every entry of another tar as it is there."""
        for member in source:
            if member.isdir():
                if self._is_new(member.name):
                    self._tar.addfile(member)
                continue
            self._claim(member.name)
            self._tar.addfile(member, source.extractfile(member) if member.isreg() else None)
        return self

    def pack(self) -> Packed:
        """End the tar and compress it."""
        self._tar.close()
        raw = self._bytes.getvalue()
        packed = io.BytesIO()
        # gzip.compress would let the header's system byte follow the Python release.
        with gzip.GzipFile(filename="", fileobj=packed, mode="wb", mtime=0, compresslevel=_LEVEL) as stream:
            stream.write(raw)
        return Packed(diff_id=Digest.of(raw), blob=packed.getvalue())

    def _is_new(self, path: str) -> bool:
        name = posixpath.normpath(f"/{path}")
        fresh = name not in self._paths
        self._paths.add(name)
        return fresh

    def _claim(self, path: str) -> None:
        if not self._is_new(path):
            raise DefectError(f"a layer would name {path} twice, and engines refuse that")


def _entry(path: str, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(f"./{path}" if path else "./")
    entry.mode = mode
    return entry


@dataclass(frozen=True)
class Writer:
    """An OCI layout that is being written."""

    root: Path

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Write a blob and return its descriptor."""
        digest = Digest.of(data)
        path = self.root / "blobs" / "sha256" / digest.hex
        if not path.exists():
            path.write_bytes(data)
        return {"mediaType": media_type, "digest": str(digest), "size": len(data)}

    def image(
        self,
        platform: Platform,
        layers: Sequence[Packed],
        config: Mapping[str, Any],
        annotations: Mapping[str, str],
    ) -> dict[str, Any]:
        """Write one platform's layers, configuration and manifest; return the manifest's descriptor."""
        target = {"os": platform.os, "architecture": platform.arch}
        if platform.arch in VARIANTS:
            target["variant"] = VARIANTS[platform.arch]
        settings = {
            **target,
            "created": EPOCH,
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
            "history": [{"created": EPOCH, "created_by": "sealift rehearsal"}] * len(layers),
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(_json(settings), CONFIG),
            "layers": [self.blob(layer.blob, LAYER) for layer in layers],
            "annotations": dict(annotations),
        }
        return {**self.blob(_json(manifest), MANIFEST), "platform": target}

    def index(self, images: Sequence[Mapping[str, Any]], name: str) -> Digest:
        """Write the index of all platforms, and name it as the layout's one image."""
        top = self.blob(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": images}), INDEX)
        named = {**top, "annotations": {REF_NAME: name}}
        (self.root / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
        (self.root / "index.json").write_bytes(
            _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]})
        )
        return Digest(top["digest"])


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


@contextmanager
def writing(out: Path) -> Iterator[Writer]:
    """Write a layout beside ``out`` and give it that name when it is whole, in place of an older one."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        new = Path(temporary) / "new"
        (new / "blobs" / "sha256").mkdir(parents=True)
        yield Writer(new)
        replace_folder(new, out)


def replace_folder(new: Path, out: Path) -> None:
    """Move a folder to its name; what stood there is removed."""
    if out.exists():
        old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
        out.rename(old / "old")
        new.rename(out)
        shutil.rmtree(old)
    else:
        new.rename(out)
