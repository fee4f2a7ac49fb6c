"""What a release has made in its world's folder; it is only read, so a release may be at work there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from sealift.model.names import Digest
from sealift.tools.registry_bundle import BUNDLE_TYPE
from tests.kills.left import OwnDesk
from tests.kills.stages import Out, Stage

_NAME = "org.opencontainers.image.ref.name"
# How a registry's folder names the list of what refers to a manifest: with the Referrers API, and without it.
_SUBJECT = "org.olareg.referrer.subject"
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
                return len(digests & {digest for _, digest, _ in self._listed()})
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
        for folder, _, notes in self._listed():
            if (name := notes.get(_NAME, "")) and not name.startswith(_REFERRERS):
                found[folder.name].add(name)
        return found

    def bundles(self) -> int:
        """Count what is attached to the release's images.

        A bundle that is there and in no list is one whose writing broke off: the registry tells nobody of it.
        """
        return sum(
            len(_bundles_of(folder, digest))
            for folder, digest, notes in self._listed()
            if _SUBJECT in notes or notes.get(_NAME, "").startswith(_REFERRERS)
        )

    def published(self) -> list[str]:
        """Return the tags of the GitHub releases that everybody sees."""
        return [release["tag_name"] for release in self._github("releases/*") if not release["draft"]]

    def _github(self, records: str) -> Iterator[dict[str, Any]]:
        # Past the service's own reader, which clears away what is unfinished.
        return (json.loads(path.read_bytes()) for path in self.folder.glob(f"github/{records}.json"))

    def _indexes(self) -> Iterator[Path]:
        return self.folder.glob("registry/health-caretaker*/index.json")

    def _listed(self) -> Iterator[tuple[Path, Digest, dict[str, str]]]:
        """Yield each repository's folder with each manifest that it lists, and what it notes of it."""
        for index in self._indexes():
            for found in json.loads(index.read_bytes()).get("manifests") or []:
                yield index.parent, Digest(found["digest"]), found.get("annotations") or {}


def _moves(tag: str) -> bool:
    return tag.count(".") < 2


def _bundles_of(folder: Path, digest: Digest) -> set[str]:
    """Return what a list of referrers names and is there."""
    blobs = folder / "blobs" / "sha256"
    listed = json.loads((blobs / digest.hex).read_bytes())["manifests"]
    named = {Digest(m["digest"]).hex for m in listed if m.get("artifactType") == BUNDLE_TYPE}
    return {name for name in named if (blobs / name).is_file()}
