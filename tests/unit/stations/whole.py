"""One whole released version in memory: GitHub, a registry, and everything that is said of its images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from sealift.errors import OutsideError
from sealift.model.evidence import Drafted
from sealift.model.names import Digest, Repository, Tag
from sealift.model.plan import Cell, Plan
from sealift.model.statements import JSON, PredicateType, Statement, Subject
from sealift.model.status import Finding
from sealift.model.world import World
from sealift.stations.assets import CHECKSUMS, names, notes, sums_of
from sealift.stations.sbom import Contents
from sealift.stations.statements import provenance_of
from sealift.stations.status import Remembered, look
from sealift.stations.verify import Expected, expected
from sealift.tools.cosign import Cosign
from sealift.tools.github import Asset, GitHub, Release
from tests.unit.stations import listed
from tests.unit.stations.things import COMMIT, OURS, Glass, Shelves, built, bundle, plan, world

VARIANTS = ("static", "base")


class Hub(GitHub):
    """A GitHub in memory, with one tag and one release."""

    def __init__(self, release: Release | None, files: dict[str, bytes]) -> None:
        self.tag = "v1.2.3"
        self.commit: str | None = COMMIT
        self.release = release
        self.files = files
        self.broken: OutsideError | None = None

    def tag_commit(self, tag: str) -> str | None:
        assert tag == self.tag
        return self.commit

    def find_release(self, tag: str) -> Release | None:
        assert tag == self.tag
        if self.broken:
            raise self.broken
        return self.release

    def download(self, asset: Asset) -> bytes:
        return self.files[asset.name]

    def download_page(self, asset: Asset) -> bytes | None:
        return self.download(asset)

    def put(self, **changed: object) -> None:
        assert self.release is not None
        self.release = replace(self.release, **changed)  # type: ignore[arg-type]

    def upload_again(self, files: Mapping[str, bytes]) -> None:
        """Change the bytes of some files, with what GitHub says of their size."""
        assert self.release is not None
        self.files.update(files)
        self.put(assets=tuple(replace(a, size=len(self.files[a.name])) for a in self.release.assets))

    def drop(self, name: str) -> None:
        assert self.release is not None
        self.put(assets=tuple(a for a in self.release.assets if a.name != name))


@dataclass(frozen=True)
class Nods(Cosign):
    """A cosign that finds whatever the shelves hold."""

    shelves: Shelves = field(default_factory=Shelves)

    def accepted(self, subject: Subject) -> frozenset[str]:
        return frozenset(json.loads(b)["type"] for b in self.shelves.attached.get(str(subject), []))


@dataclass
class Street:
    """Everything outside of one version."""

    plan: Plan
    world: World
    shelves: Shelves
    hub: Hub
    images: dict[str, tuple[Subject, dict[str, Subject]]]
    commit: str | None = COMMIT
    remembered: Remembered = field(default_factory=Remembered)

    def look(self) -> tuple[Finding, ...]:
        def verifiers(commit: str) -> tuple[Glass, Cosign]:
            assert commit == COMMIT
            return Glass(), Nods(trusted_root=None, identity=OURS, shelves=self.shelves)

        return look(
            self.plan,
            self.commit,
            self.world,
            self.remembered,
            github=self.hub,
            registry=self.shelves,
            verifiers=verifiers,
        )

    def wrong(self) -> list[Finding]:
        return [f for f in self.look() if f.verdict != "agrees"]

    def index(self, variant: str = "static") -> Subject:
        return self.images[variant][0]

    def platform(self, variant: str = "static", platform: str = "linux/amd64") -> Subject:
        return self.images[variant][1][platform]

    def tag(self, tag: str, variant: str = "static") -> str:
        return self.index(variant).repository.tagged(Tag(tag))

    def remember(self) -> None:
        pushed = {variant: index.digest for variant, (index, _) in self.images.items()}
        assets = {name: Digest.of(data) for name, data in self.hub.files.items()}
        self.remembered = Remembered(pushed=pushed, drafted=Drafted(release_id=7, assets=assets))


def put(shelves: Shelves, repository: Repository, manifest: object) -> Subject:
    body = json.dumps(manifest).encode()
    shelves.bodies[Digest.of(body)] = body
    return Subject(repository=repository, digest=Digest.of(body))


def put_image(
    shelves: Shelves, repository: Repository, plan: Plan, variant: str
) -> tuple[Subject, dict[str, Subject]]:
    platforms, children = {}, []
    for cell in plan.cells_of(variant):
        parts, child = listed.blobs(cell.platform, program(cell), plan)
        shelves.bodies.update(parts)
        digest = Digest(child["digest"])
        shelves.blobs.update(set(parts) - {digest})
        children.append(child)
        platforms[str(cell.platform)] = Subject(repository=repository, digest=digest)
    index = listed.index(children)
    shelves.bodies[Digest.of(index)] = index
    return Subject(repository=repository, digest=Digest.of(index)), platforms


def program(cell: Cell) -> bytes:
    """Give what stands for the binary of a cell."""
    return listed.program(str(cell).encode())


def files_of(plan: Plan, cell: Cell, image: Contents) -> dict[str, bytes]:
    """Give a cell's files of the release."""
    parts = program(cell), *(json.dumps(listed.document(f, image)).encode() for f in ("SPDX", "CycloneDX"))
    return dict(zip(names(plan, cell), parts, strict=True))


def say(shelves: Shelves, wanted: Expected, predicate: JSON) -> None:
    said = Statement(subject=wanted.subject, predicate_type=wanted.predicate_type, predicate=predicate)
    shelves.attach(wanted.subject.repository, wanted.subject.digest, bundle(said), said.predicate_type)


def said_of(shelves: Shelves, plan: Plan, variant: str, wanted: Expected, outside: World) -> JSON:
    """Return what a release says of an image: small, and true."""
    subject = wanted.subject
    image = listed.contents_of(subject.digest, subject.repository)
    match wanted.predicate_type:
        case PredicateType.PROVENANCE:
            return provenance_of(variant, plan, built(variant), outside)
        case PredicateType.SPDX:
            return listed.document("SPDX", image)
        case PredicateType.CYCLONEDX:
            return listed.document("CycloneDX", image)
        case PredicateType.VULNERABILITIES:
            return listed.scanned(image, listed.config_of(shelves.manifest(str(subject))))
        case _:
            return {}


def whole(folder: Path) -> Street:
    """Release 1.2.3."""
    planned, outside, shelves = plan(), world(folder), Shelves()
    images, files = {}, dict[str, bytes]()
    for variant in VARIANTS:
        repository = outside.repository(planned.variant(variant).repository)
        images[variant] = index, platforms = put_image(shelves, repository, planned, variant)
        for cell in planned.cells_of(variant):
            image = listed.contents_of(platforms[str(cell.platform)].digest, repository)
            files |= files_of(planned, cell, image)
        for wanted in expected(index, tuple(platforms.values())):
            say(shelves, wanted, said_of(shelves, planned, variant, wanted, outside))
        for tag in ("1.2.3", "1.2", "1", "latest"):
            shelves.put_tag(repository, Tag(tag), index.digest)
    files[CHECKSUMS] = sums_of({name: Digest.of(data) for name, data in files.items()})
    told = {v: msgspec.structs.replace(built(v), digest=index.digest) for v, (index, _) in images.items()}
    release = Release(
        id=7,
        tag="v1.2.3",
        title="",
        body=notes(planned, told, outside),
        draft=False,
        prerelease=False,
        immutable=True,
        url="",
        assets=tuple(
            Asset(id=i, name=n, size=len(d), uploaded=True) for i, (n, d) in enumerate(files.items())
        ),
    )
    return Street(planned, outside, shelves, Hub(release, files), images)
