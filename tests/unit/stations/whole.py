"""One whole released version in memory: GitHub, a registry, and everything that is said of its images."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from sealift.errors import OutsideError
from sealift.model.evidence import Drafted
from sealift.model.names import Digest, Repository, Tag
from sealift.model.plan import Plan
from sealift.model.statements import PredicateType, Statement, Subject
from sealift.model.status import Finding
from sealift.model.world import World
from sealift.stations.assets import CHECKSUMS, names, notes
from sealift.stations.status import Remembered, look
from sealift.stations.verify import Expected, expected
from sealift.tools.cosign import Cosign
from sealift.tools.github import Asset, GitHub, Release
from tests.unit.stations.things import COMMIT, OURS, Glass, Shelves, built, bundle, digest_of, plan, world

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


def put_image(shelves: Shelves, repository: Repository, plan: Plan) -> tuple[Subject, dict[str, Subject]]:
    platforms = {}
    for platform in plan.config.platforms:
        blob = digest_of(f"{repository} {platform}")
        shelves.blobs.add(blob)
        platforms[str(platform)] = put(shelves, repository, {"config": {"digest": blob}})
    children = [
        {"digest": s.digest, "platform": dict(zip(("os", "architecture"), p.split("/"), strict=True))}
        for p, s in platforms.items()
    ]
    return put(shelves, repository, {"manifests": children}), platforms


def say(shelves: Shelves, wanted: Expected, predicate: dict[str, object]) -> None:
    if wanted.predicate_type is PredicateType.PROVENANCE:
        predicate = {
            "buildDefinition": {"resolvedDependencies": [{"digest": {"gitCommit": COMMIT}}]},
            "runDetails": {"builder": {"id": OURS.san}},
        }
    said = Statement(subject=wanted.subject, predicate_type=wanted.predicate_type, predicate=predicate)
    shelves.attach(wanted.subject.repository, wanted.subject.digest, bundle(said), said.predicate_type)


def say_all(
    shelves: Shelves, plan: Plan, variant: str, index: Subject, platforms: dict[str, Subject]
) -> None:
    cells = {platforms[cell.platform]: cell for cell in plan.cells_of(variant)}
    for wanted in expected(index, tuple(platforms.values())):
        listed = ""
        if wanted.predicate_type in (PredicateType.SPDX, PredicateType.CYCLONEDX):
            _, spdx, cyclonedx = names(plan, cells[wanted.subject])
            listed = spdx if wanted.predicate_type is PredicateType.SPDX else cyclonedx
        say(shelves, wanted, {"is": listed})


def whole(folder: Path) -> Street:
    """Release 1.2.3."""
    planned, outside, shelves = plan(), world(folder), Shelves()
    files = {name: f'{{"is": "{name}"}}'.encode() for cell in planned.cells for name in names(planned, cell)}
    files[CHECKSUMS] = "".join(f"{Digest.of(d).hex}  {n}\n" for n, d in sorted(files.items())).encode()
    images = {}
    for variant in VARIANTS:
        repository = outside.repository(planned.variant(variant).repository)
        images[variant] = index, platforms = put_image(shelves, repository, planned)
        say_all(shelves, planned, variant, index, platforms)
        for tag in ("1.2.3", "1.2", "1", "latest"):
            shelves.put_tag(repository, Tag(tag), index.digest)
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
