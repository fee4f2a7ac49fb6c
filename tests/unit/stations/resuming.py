"""One released version in memory that commands repair: they run the real stages against it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sealift.errors import OutsideError, RefusedError
from sealift.model.evidence import Built, BuiltPlatform
from sealift.model.names import Digest, Platform, Repository, Tag, Version
from sealift.model.statements import JSON, PredicateType, Statement, Subject
from sealift.stations import assets as gathering
from sealift.stations.draft import draft, publish
from sealift.stations.promote import promote_tags, put
from sealift.stations.push import push
from sealift.stations.sign import sign
from sealift.stations.verify import expected, verify
from sealift.tools.github import BURNED, Asset, Release
from sealift.tools.github_errors import BurnedTagError
from sealift.tools.registry import ImmutableTagError
from sealift.tools.registry_http import NotThereError
from tests.unit.stations.things import COMMIT, OURS, Glass, Pen, Shelves, built, plan
from tests.unit.stations.whole import Hub, Nods, Street, whole


@dataclass(frozen=True, kw_only=True)
class FakeRegistry(Shelves):
    """A registry into which what was built is copied again; ``stock`` is what lies in the run folder."""

    stock: dict[Digest, bytes] = field(default_factory=dict)
    stored: set[Digest] = field(default_factory=set)
    immutable: set[str] = field(default_factory=set)

    def manifest(self, reference: str) -> bytes:
        if Digest(reference.partition("@")[2]) not in self.bodies:
            raise NotThereError(f"{reference} is not there")
        return super().manifest(reference)

    def copy(self, source: str, target: str) -> Digest:
        self.bodies.update(self.stock)
        self.blobs.update(self.stored)
        return super().copy(source, target)

    def check_movable(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        super().check_movable(repository, tag, digest)
        if tag in self.immutable:
            raise ImmutableTagError.of(repository, tag, OutsideError("answered 400 TAG_INVALID"))


class FakeGitHub(Hub):
    """A GitHub with one release, which is immutable once it is published."""

    def __init__(self, release: Release | None, files: dict[str, bytes]) -> None:
        super().__init__(release, files)
        self.numbers = itertools.count(100)
        self.burned = False
        self.several = 1

    def find_release(self, tag: str) -> Release | None:
        if self.several > 1:
            raise RefusedError(
                f"o/n has {self.several} releases or drafts of {tag}",
                next_step="delete all but one on GitHub: a, b",
            )
        return super().find_release(tag)

    def get_release(self, number: int) -> Release:
        assert self.release is not None
        assert self.release.id == number
        return self.release

    def latest_tag(self) -> str | None:
        return None

    def create_draft(self, tag: str, commit: str, title: str, body: str, *, prerelease: bool) -> Release:
        assert (self.release, commit) == (None, COMMIT)
        self.release = Release(
            id=next(self.numbers),
            tag=tag,
            title=title,
            body=body,
            draft=True,
            prerelease=prerelease,
            immutable=False,
            url="url",
            assets=(),
            target=commit,
        )
        return self.release

    def update(
        self, release: Release, *, title: str, body: str, prerelease: bool, target: str | None = None
    ) -> Release:
        self.put(title=title, body=body, prerelease=prerelease, target=target or release.target)
        return self.get_release(release.id)

    def publish(self, release: Release, *, make_latest: bool) -> Release:
        assert make_latest
        if self.burned:
            self.put(body=f"{BURNED}\n\n{release.body}")
            raise BurnedTagError.of("could not publish", release.tag)
        self.put(draft=False, immutable=True)
        return self.get_release(release.id)

    def upload(self, release: Release, path: Path, name: str) -> Asset:
        assert release.draft
        self.files[name] = path.read_bytes()
        size = len(self.files[name])
        asset = Asset(id=next(self.numbers), name=name, size=size, uploaded=True)
        self.put(assets=(*self.get_release(release.id).assets, asset))
        return asset

    def delete_asset(self, asset: Asset) -> None:
        assert self.release is not None
        assert self.release.draft
        self.drop(asset.name)


@dataclass
class Resumed(Street):
    """A street with what a run folder holds, on which the commands of a desk work."""

    registry: FakeRegistry = field(default_factory=FakeRegistry)
    github: FakeGitHub = field(default_factory=lambda: FakeGitHub(None, {}))
    images_built: Mapping[str, Built] = field(default_factory=dict)
    statements: tuple[Statement, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)

    def release(self) -> None:
        # A rehearsal's tag is pushed as it begins, and a run in production begins with one.
        self.github.commit = self.github.commit or COMMIT
        self.push()
        self.sign()
        self.draft()
        self.promote()

    def push(self) -> None:
        for variant, image in self.images_built.items():
            gated = {("scan", Platform(p)): one.digest for p, one in image.platforms.items()}
            push(
                variant,
                image,
                gated,
                base=image.base_digest,
                layout=Repository(f"localhost:1/{variant}"),
                target=self.index(variant).repository,
                registry=self.registry,
            )

    def sign(self) -> None:
        sign(self.statements, registry=self.registry, signer=Pen(), verifier=Glass(), made=set())

    def draft(self) -> None:
        notes = gathering.notes(self.plan, self.images_built, self.world)
        about = {"tag": "v1.2.3", "commit": COMMIT, "title": "", "notes": notes, "prerelease": False}
        self.state = draft(self.github, **about, assets=self.files)  # type: ignore[arg-type]

    def promote(self, version: Version | None = None) -> None:
        chosen = plan(str(version or self.plan.version))
        named = {v: Tag(str(chosen.version)) for v in self.images}
        images = {
            v: (index.repository, self.registry.tagged.get(index.repository.tagged(named[v]), index.digest))
            for v, (index, _) in self.images.items()
        }
        wanted = [e for index, below in self.images.values() for e in expected(index, tuple(below.values()))]
        if version is None:
            cosign = Nods(trusted_root=None, identity=OURS, shelves=self.registry)
            verified = verify(wanted, registry=self.registry, verifier=Glass(), cosign=cosign)
            once, moving, looks = promote_tags(chosen, verified, images, self.registry)
            self.draft()
            put(once, self.registry, looks, {})
            publish(self.github, self.state)
            put(moving, self.registry, looks, {})
            return
        for repository, digest in images.values():
            for tag in chosen.moving_tags:
                self.registry.put_tag(repository, tag, digest)


def resumed(folder: Path) -> Resumed:
    """Release 1.2.3, with a run folder that still has everything."""
    first = whole(folder)
    registry = FakeRegistry(
        **{name: getattr(first.shelves, name) for name in ("tagged", "attached", "bodies", "blobs")},
        stock=dict(first.shelves.bodies),
        stored=set(first.shelves.blobs),
    )
    files = {name: folder / name for name in first.hub.files}
    for name, path in files.items():
        path.write_bytes(first.hub.files[name])
    images = {
        variant: msgspec.structs.replace(
            built(variant),
            digest=index.digest,
            platforms={
                p: BuiltPlatform(digest=below[str(p)].digest, binary_sha256="0" * 64, compressed_bytes=1)
                for p in first.plan.config.platforms
            },
        )
        for variant, (index, below) in first.images.items()
    }
    said = tuple(
        _said(subject, bundle) for subject, bundles in registry.attached.items() for bundle in bundles
    )
    github = FakeGitHub(first.hub.release, first.hub.files)
    return Resumed(
        plan=first.plan,
        world=first.world,
        shelves=registry,
        hub=github,
        images=first.images,
        registry=registry,
        github=github,
        images_built=images,
        statements=said,
        files=files,
    )


def _said(subject: str, bundle: bytes) -> Statement:
    repository, _, digest = subject.partition("@")
    told = json.loads(bundle)
    predicate: JSON = told["predicate"]
    at = Subject(repository=Repository(repository), digest=Digest(digest))
    return Statement(subject=at, predicate_type=PredicateType(told["type"]), predicate=predicate)
