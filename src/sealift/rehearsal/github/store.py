"""What the stand-in keeps: a folder of small files, each published by rename.

releases/<id>.json     one release
assets/<id>/           record.json and content
refs.json              tags in git
burned.json            tag names that an immutable release has used
next.json              the next id: one that was deleted is never given again
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sealift.errors import UsageError
from sealift.model.codec import from_json, publish, to_json
from sealift.model.config import Strict
from sealift.model.names import Digest

T = TypeVar("T")
D = TypeVar("D")


class Ref(Strict, frozen=True, kw_only=True):
    """What a tag in git names: a commit, or (annotated) a tag object that names a commit."""

    sha: str
    commit: str | None = None


class ReleaseRecord(Strict, frozen=True, kw_only=True):
    """One release. ``latest`` counts up each time a release is marked as the latest one."""

    id: int
    tag_name: str
    target_commitish: str
    name: str
    body: str
    draft: bool
    prerelease: bool
    created_at: str
    published_at: str | None = None
    immutable: bool = False
    latest: int = 0


class AssetRecord(Strict, frozen=True, kw_only=True):
    """One file of a release. GitHub calls one whose upload broke off ``starter``."""

    id: int
    release: int
    name: str
    label: str
    content_type: str
    state: str
    size: int
    digest: Digest | None
    created_at: str


def now() -> str:
    """Tell the time as GitHub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """Reads the folder at every question, so that what was changed on disk is what is answered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._releases = folder / "releases"
        self._assets = folder / "assets"
        for path in (self._releases, self._assets):
            path.mkdir(parents=True, exist_ok=True)
        for unfinished in self._assets.glob(".new-*"):
            shutil.rmtree(unfinished)

    def next_id(self) -> int:
        """Give an id that was never given before."""
        path = self._folder / "next.json"
        given = self._read(path, int, 1)
        publish(path, to_json(given + 1))
        return given

    def releases(self) -> list[ReleaseRecord]:
        """List releases and drafts, newest first."""
        found = [self._load(path, ReleaseRecord) for path in self._releases.glob("*.json")]
        return sorted(found, key=lambda r: r.id, reverse=True)

    def release(self, number: int) -> ReleaseRecord | None:
        """Find one release by its id."""
        return self._read(self._releases / f"{number}.json", ReleaseRecord, None)

    def put(self, record: ReleaseRecord) -> None:
        """Keep a release, new or changed."""
        publish(self._releases / f"{record.id}.json", to_json(record))

    def drop(self, record: ReleaseRecord) -> None:
        """Forget a release and its assets."""
        (self._releases / f"{record.id}.json").unlink()
        for asset in self.assets(record.id):
            self.drop_asset(asset.id)

    def assets(self, release: int) -> list[AssetRecord]:
        """List a release's assets, oldest first."""
        found = [self._load(path, AssetRecord) for path in self._assets.glob("[0-9]*/record.json")]
        return sorted((a for a in found if a.release == release), key=lambda a: a.id)

    def asset(self, number: int) -> AssetRecord | None:
        """Find one asset by its id."""
        return self._read(self._assets / str(number) / "record.json", AssetRecord, None)

    def add_asset(
        self, release: int, *, name: str, label: str, content_type: str, content: bytes, complete: bool
    ) -> AssetRecord:
        """Keep an uploaded file; of one that broke off only the name stays."""
        kept = content if complete else b""
        record = AssetRecord(
            id=self.next_id(),
            release=release,
            name=name,
            label=label,
            content_type=content_type,
            state="uploaded" if complete else "starter",
            size=len(kept),
            digest=Digest.of(kept) if complete else None,
            created_at=now(),
        )
        unfinished = self._assets / f".new-{record.id}"
        unfinished.mkdir()
        (unfinished / "content").write_bytes(kept)
        (unfinished / "record.json").write_bytes(to_json(record))
        unfinished.rename(self._assets / str(record.id))
        return record

    def content(self, number: int) -> bytes:
        """Read an asset's bytes as they are on disk now."""
        return (self._assets / str(number) / "content").read_bytes()

    def drop_asset(self, number: int) -> None:
        """Forget an asset."""
        gone = self._assets / f".new-{number}"
        (self._assets / str(number)).rename(gone)
        shutil.rmtree(gone)

    def refs(self) -> dict[str, Ref]:
        """Read the tags in git, by name without ``refs/tags/``."""
        return self._read(self._folder / "refs.json", dict[str, Ref], {})

    def add_tag(self, name: str, commit: str) -> None:
        """Push a tag; one that is there already must name the same commit."""
        refs = self.refs()
        if (known := refs.get(name)) is not None and (known.commit or known.sha) != commit:
            raise UsageError(
                f"the tag {name} names {known.commit or known.sha} in this folder, not {commit}",
                means="a tag that was pushed does not move",
                next_step="sealift rehearse reset",
            )
        publish(self._folder / "refs.json", to_json({name: Ref(sha=commit)} | refs))

    def burned(self) -> dict[str, int]:
        """Read the tag names that immutable releases have used, each with its release."""
        return self._read(self._folder / "burned.json", dict[str, int], {})

    def burn(self, tag: str, release: int) -> None:
        """Keep a tag's name for one release for ever."""
        publish(self._folder / "burned.json", to_json(self.burned() | {tag: release}))

    @staticmethod
    def _load(path: Path, kind: type[T]) -> T:
        return from_json(path.read_bytes(), kind, source=str(path))

    @classmethod
    def _read(cls, path: Path, kind: type[T], absent: D) -> T | D:
        return cls._load(path, kind) if path.is_file() else absent
