"""What a release has made in its world's folder; it is only read, so a release may be at work there."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from sealift.model.names import Digest
from sealift.tools.registry import BUNDLE_TYPE
from tests.kills.left import OwnDesk
from tests.kills.stages import Out, Stage

_NAME = "org.opencontainers.image.ref.name"
_REFERRERS = "sha256-"


@dataclass(frozen=True)
class Traces:
    """Where a release in one world of a desk leaves what it makes."""

    desk: OwnDesk
    world: str

    @property
    def folder(self) -> Path:
        """The world's own folder."""
        return self.desk.folder / "build" / "rehearsal" / self.world

    def out(self, digests: frozenset[str]) -> Out:
        """Count everything; ``digests`` are those of the release's images."""
        return {stage: self.count(stage, digests) for stage in Stage}

    def count(self, stage: Stage, digests: frozenset[str]) -> int:
        """Count one thing. What a service is just writing may raise ValueError or FileNotFoundError."""
        match stage:
            case Stage.IMAGES:
                return sum(self._holds(digest) for digest in digests)
            case Stage.SIGNATURES:
                return self.bundles()
            case Stage.ASSETS:
                return sum(asset["state"] == "uploaded" for asset in self._github("assets/[0-9]*/record"))
            case Stage.VERSION_TAGS:
                return sum(not _moves(tag) for of in self.tags().values() for tag in of)
            case Stage.PUBLISHED:
                return len(self.published())
            case Stage.MOVING_TAGS:
                return sum(_moves(tag) for of in self.tags().values() for tag in of)
        assert_never(stage)

    def tags(self) -> dict[str, set[str]]:
        """Return each public repository's tags, as its folder has them, without the lists of referrers."""
        found: dict[str, set[str]] = {index.parent.name: set() for index in self._indexes()}
        for folder, name, _ in self._named():
            if not name.startswith(_REFERRERS):
                found[folder.name].add(name)
        return found

    def bundles(self) -> int:
        """Count what is attached to the release's images."""
        lists = [(folder, digest) for folder, name, digest in self._named() if name.startswith(_REFERRERS)]
        if lists:
            return sum(len(_bundles_of(folder, digest)) for folder, digest in lists)
        return sum(map(_is_bundle, self.folder.glob("registry/health-caretaker*/blobs/sha256/*")))

    def published(self) -> list[str]:
        """Return the tags of the GitHub releases that everybody sees."""
        return [release["tag_name"] for release in self._github("releases/*") if not release["draft"]]

    def _github(self, records: str) -> Iterator[dict[str, Any]]:
        # Past the service's own reader, which clears away what is unfinished.
        return (json.loads(path.read_bytes()) for path in self.folder.glob(f"github/{records}.json"))

    def _holds(self, digest: str) -> bool:
        return any(self.folder.glob(f"registry/health-caretaker*/blobs/sha256/{Digest(digest).hex}"))

    def _indexes(self) -> Iterator[Path]:
        return self.folder.glob("registry/health-caretaker*/index.json")

    def _named(self) -> Iterator[tuple[Path, str, Digest]]:
        """Yield each repository's folder with each of its tags and what that names."""
        for index in self._indexes():
            for found in json.loads(index.read_bytes()).get("manifests") or []:
                if name := (found.get("annotations") or {}).get(_NAME):
                    yield index.parent, name, Digest(found["digest"])


def _moves(tag: str) -> bool:
    return tag.count(".") < 2


def _bundles_of(folder: Path, digest: Digest) -> set[str]:
    """Return what a list of referrers names and is there, as a registry without the Referrers API has it."""
    blobs = folder / "blobs" / "sha256"
    listed = json.loads((blobs / digest.hex).read_bytes())["manifests"]
    named = {Digest(m["digest"]).hex for m in listed if m.get("artifactType") == BUNDLE_TYPE}
    return {name for name in named if (blobs / name).is_file()}


@functools.cache
def _is_bundle(blob: Path) -> bool:
    """Tell of a blob, which has its name once it is whole: what it holds never changes."""
    if blob.stat().st_size > 1 << 14:
        return False
    try:
        manifest = json.loads(blob.read_bytes())
    except (ValueError, UnicodeDecodeError):
        return False
    return (
        isinstance(manifest, dict) and manifest.get("artifactType") == BUNDLE_TYPE and "subject" in manifest
    )
