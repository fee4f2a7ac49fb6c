"""Two promotes that cross: real ones, against one registry and one GitHub, interleaved where it hurts most.

No registry has a put with a condition. So a tag can be overwritten between the look at it and the put, and
what is left is to see it: each promote looks at all its tags once more at its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import SealiftError
from sealift.model.evidence import Promoted
from sealift.model.names import Digest, Repository, Tag
from sealift.model.statements import Subject, signature
from sealift.oci.documents import LAYER
from sealift.services.ports import free_ports
from sealift.services.registry import public_registry
from sealift.services.supervised import Supervised
from sealift.stations.draft import PublishedRelease
from sealift.stations.image import labels
from sealift.stations.promote import promote
from sealift.stations.verify import Verified, verify
from sealift.tools.registry import Registry
from sealift.tools.registry_objects import Manifest
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.hub import Hub, Release
from tests.attacks.lying import Held, shop
from tests.attacks.signing import wanting
from tests.attacks.test_contradictions import Accepting
from tests.unit.stations.things import OURS, Glass, bundle, plan

pytestmark = pytest.mark.programs

Then = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Interrupted(Registry):
    """A registry's client that is held up before or after it puts some tags, or as it lists them."""

    before: dict[str, Then] = field(default_factory=dict)
    after: dict[str, Then] = field(default_factory=dict)
    listing: list[Then] = field(default_factory=list)

    def tags(self, repository: Repository) -> tuple[Tag, ...]:
        if self.listing:
            self.listing.pop(0)()
        return super().tags(repository)

    def put_tag(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        self.before.pop(tag, bool)()
        super().put_tag(repository, tag, digest)
        self.after.pop(tag, bool)()


@dataclass
class Run:
    """One promote of one image as one version, with its own client."""

    version: str
    subjects: tuple[Subject, ...]
    registry: Interrupted
    verified: Verified
    publish: Then = bool

    @property
    def digest(self) -> Digest:
        return self.subjects[0].digest

    def promote(self) -> Promoted:
        page = PublishedRelease(tag=f"v{self.version}", release_id=1, url="", immutable=True, made=True)

        def publish() -> PublishedRelease:
            self.publish()
            return page

        return promote(
            plan(self.version),
            self.verified,
            {"static": (self.subjects[0].repository, self.digest)},
            registry=self.registry,
            ready=lambda _: None,
            publish=publish,
            done={},
        )


@dataclass
class Place:
    """A registry on loopback, where images are released."""

    host: str
    env: dict[str, str]

    def run(self, version: str, text: str = "") -> Run:
        """Put a signed image there, and get it ready to be promoted."""
        registry = Interrupted(plain_http=(self.host,), env=self.env)
        held, repository = Held(), Repository(f"{self.host}/app")
        index, platforms = held.image(f"{version} {text}", labels(plan(version)))
        for body in held.blobs.values():
            registry._objects.put_blob(repository, body, LAYER)
        for digest in (*platforms, index):
            body, kind = held.manifests[digest]
            registry._objects.put_manifest(repository, digest, Manifest(body=body, media_type=kind))
        subjects = tuple(Subject(repository=repository, digest=d) for d in (index, *platforms))
        for subject in subjects:
            said = signature(subject)
            registry.attach(repository, subject.digest, bundle(said), said.predicate_type)
        wanted = [one for subject in subjects for one in wanting(subject)]
        accepting = Accepting(trusted_root=None, identity=OURS)
        verified = verify(wanted, registry=registry, verifier=Glass(), cosign=accepting)
        return Run(version, subjects, registry, verified)

    def tags(self) -> dict[str, Digest | None]:
        registry = Registry(plain_http=(self.host,), env=self.env)
        repository = Repository(f"{self.host}/app")
        names = (Tag(t) for t in registry.tags(repository) if not t.startswith("sha256-"))
        return {tag: registry.head(repository.tagged(tag)) for tag in names}


@pytest.fixture(params=["in memory", pytest.param("olareg", marks=pytest.mark.programs)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        if request.param == "in memory":
            yield Place(stack.enter_context(shop(tmp_path)).host, {})
            return
        request.getfixturevalue("provided")
        (port,) = free_ports(1).release()
        services = stack.enter_context(Supervised(log=tmp_path / "supervisor.log"))
        services.start([public_registry(tmp_path / "kept", port, log=tmp_path / "registry.log")])
        yield Place(f"localhost:{port}", {})


def crossing(sample: str, artefact: Callable[[Place], Run], words: str) -> Attack[Any]:
    return Attack(kind=Kind.RESOURCES, sample=sample, artefact=artefact, stage="promote", words=words)


def older_overwrites_latest(place: Place) -> Run:
    """The newer one runs as a whole between the older one's look at ``latest`` and its put."""
    older, newer = place.run("1.2.3"), place.run("1.2.4")
    older.registry.before["latest"] = newer.promote
    return older


def newer_is_overwritten(place: Place) -> Run:
    """The older one's put of ``latest`` comes right after the newer one's, which has not ended yet."""
    older, newer = place.run("1.2.3"), place.run("1.2.4")
    late = Registry(plain_http=(place.host,), env=place.env)
    older.promote()
    newer.registry.after["latest"] = lambda: late.put_tag(
        older.subjects[0].repository, Tag("1.2"), older.digest
    )
    return newer


def same_version_at_once(place: Place) -> Run:
    """The other one has put the version tag before, and puts it again while this one publishes."""
    one, other = place.run("1.2.3", "one"), place.run("1.2.3", "other")
    late = Registry(plain_http=(place.host,), env=place.env)
    one.publish = lambda: late.put_tag(one.subjects[0].repository, Tag("1.2.3"), other.digest)
    return one


def same_version_in_the_gap(place: Place) -> Run:
    """The other one puts the version tag right after this one's put."""
    one, other = place.run("1.2.3", "one"), place.run("1.2.3", "other")
    late = Registry(plain_http=(place.host,), env=place.env)
    one.registry.after["1.2.3"] = lambda: late.put_tag(one.subjects[0].repository, Tag("1.2.3"), other.digest)
    return one


def a_person_moves_latest(place: Place) -> Run:
    """Something that is no release is put under ``latest`` before this one ends."""
    one, foreign = place.run("1.2.3"), place.run("0.0.1")
    late = Registry(plain_http=(place.host,), env=place.env)
    one.registry.after["latest"] = lambda: late.put_tag(
        one.subjects[0].repository, Tag("1.2"), foreign.digest
    )
    return one


@each(
    crossing(
        "an older version that overwrites `latest` after a newer one has ended",
        older_overwrites_latest,
        "and 1.2.4 was released meanwhile",
    ),
    crossing(
        "a newer version whose tag an older one moves back before it has ended",
        newer_is_overwritten,
        "1.2 names sha256:",
    ),
    crossing(
        "two builds of one version, of which the other's tag wins",
        same_version_at_once,
        "at the end, not sha256:",
    ),
    crossing(
        "two builds of one version that put its tag in the same moment",
        same_version_in_the_gap,
        "1.2.3: expected sha256:",
    ),
    crossing("another image under a moving tag", a_person_moves_latest, "1.2 names sha256:"),
)
def test_promote_rejects_tags_that_another_promote_overwrote(
    place: Place, attack: Attack[Callable[[Place], Run]]
) -> None:
    run = attack.artefact(place)
    with pytest.raises(SealiftError) as caught:
        run.promote()
    attack.assert_blocked_by(caught.value)


def test_promote_accepts_tag_that_newer_version_moved(place: Place) -> None:
    older, newer = place.run("1.2.3"), place.run("1.2.4")
    older.registry.listing.extend([bool, newer.promote])
    done = older.promote()
    assert [g.detail for g in done.gates if "went on to 1.2.4" in g.detail]
    assert place.tags()["latest"] == place.tags()["1.2.4"] == newer.digest
    assert place.tags()["1.2.3"] == older.digest


SECOND_NOTES = Attack(
    kind=Kind.RESOURCES,
    sample="two builds of one version, of which one is published already",
    artefact=None,
    stage="promote",
    words="its notes are others",
    exit_code=3,
)


@each(SECOND_NOTES)
def test_promote_rejects_release_that_other_build_published(
    place: Place, attack: Attack[None], tmp_path: Path
) -> None:
    """By its tags alone the one that comes last could not tell: the page names the digests of the first."""
    hub = Hub(tmp_path / "github")
    threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True).start()
    (tmp_path / "SHA256SUMS").write_bytes(b"sums")
    page = Release(hub, {"SHA256SUMS": tmp_path / "SHA256SUMS"})
    try:
        one, other = place.run("1.2.3", "one"), place.run("1.2.3", "other")
        mine = page.draft(f"the digest is {one.digest}")
        other.publish = lambda: page.publish(page.draft(f"the digest is {other.digest}"))
        one.registry.before["1.2.3"] = other.promote
        one.publish = lambda: page.publish(mine)
        with pytest.raises(SealiftError) as caught:
            one.promote()
        attack.assert_blocked_by(caught.value)
        assert place.tags()["latest"] == other.digest
    finally:
        hub.shutdown()
        hub.server_close()
