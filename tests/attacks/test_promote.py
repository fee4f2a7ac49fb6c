"""Promote: tags that are somebody's already, on real signed images in a real registry."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, replace

import msgspec
import pytest

from sealift.errors import DefectError
from sealift.line import Line
from sealift.model.evidence import VerifiedAll
from sealift.model.names import Digest, Repository, Tag, Version
from sealift.model.plan import Plan
from sealift.model.statements import Subject, signature
from sealift.stations.draft import PublishedRelease
from sealift.stations.gate import GateRefusedError
from sealift.stations.promote import promote_tags, promoted, put
from sealift.stations.verify import Verified
from sealift.tools.registry import Registry
from tests.attacks.signing import Shelf, wanting

pytestmark = pytest.mark.programs

LATEST = Tag("latest")


@dataclass(frozen=True)
class Street:
    """One repository with two signed images, and who verified them."""

    plan: Plan
    registry: Registry
    repository: Repository
    old: Digest
    new: Digest
    verified: Verified

    def planned(self, version: str) -> Plan:
        chosen = Version.parse(version)
        return msgspec.structs.replace(self.plan, version=chosen, moving_tags=chosen.moving_tags)

    def release(self, version: str, digest: Digest) -> dict[str, tuple[Tag, ...]]:
        """Move the tags as a release does, all variants being one; its page is another test's."""
        page = PublishedRelease(tag=f"v{version}", release_id=1, url="", immutable=True, made=True)
        images = {"static": (self.repository, digest)}
        once, moving, looks = promote_tags(self.planned(version), self.verified, images, self.registry)
        done: dict[str, None] = {}
        put(once, self.registry, looks, done)
        put(moving, self.registry, looks, done)
        return promoted(looks, (*once, *moving), done, page).tags

    def tags(self) -> dict[str, Digest | None]:
        found = self.registry.tags(self.repository)
        # The fallback tags of a registry without the Referrers API are nobody's release.
        names = [tag for tag in found if not tag.startswith("sha256-")]
        return {tag: self.registry.head(self.repository.tagged(tag)) for tag in names}


@pytest.fixture
def street(shelf: Shelf) -> Street:
    index, (one, other) = shelf.index(2)
    assert index.repository == one.repository
    shelf.say(signature(one), signature(other))
    verified = shelf.verify([*wanting(one), *wanting(other)])
    return Street(shelf.stage.plan, shelf.registry, one.repository, one.digest, other.digest, verified)


def test_a_release_moves_its_tags_and_again_changes_nothing(street: Street) -> None:
    tags = ("1.2.3", "1.2", "1", "latest")
    for _ in range(2):
        assert street.release("1.2.3", street.new) == {street.repository: tags}
        assert street.tags() == dict.fromkeys(sorted(tags), street.new)


def test_a_version_that_names_another_digest_is_refused_and_nothing_moves(street: Street) -> None:
    street.registry.put_tag(street.repository, Tag("1.2.3"), street.old)
    with pytest.raises(GateRefusedError) as caught:
        street.release("1.2.3", street.new)
    assert f"{street.repository}:1.2.3 already names {street.old}, not {street.new}" in str(caught.value)
    assert street.tags() == {"1.2.3": street.old}


def test_a_backport_moves_no_tag_back(street: Street) -> None:
    street.release("1.1.0", street.new)
    assert street.release("1.0.1", street.old) == {street.repository: ("1.0.1", "1.0")}
    assert street.tags() == {
        "1.0": street.old,
        "1.0.1": street.old,
        "1": street.new,
        "1.1": street.new,
        "1.1.0": street.new,
        "latest": street.new,
    }


def test_a_prerelease_moves_nothing_else(street: Street) -> None:
    street.release("1.1.0", street.old)
    assert street.release("1.2.0-rc.1", street.new) == {street.repository: ("1.2.0-rc.1",)}
    assert street.registry.head(street.repository.tagged(LATEST)) == street.old


def test_a_tag_that_somebody_moves_meanwhile_is_left_alone(street: Street) -> None:
    images = {"static": (street.repository, street.new)}
    once, moving, looks = promote_tags(street.planned("1.2.3"), street.verified, images, street.registry)
    street.registry.put_tag(street.repository, LATEST, street.old)
    put(once, street.registry, looks, {})
    with pytest.raises(GateRefusedError, match=f"latest was moved by somebody else: None -> {street.old}"):
        put(moving, street.registry, looks, {})
    assert street.tags()["latest"] == street.old


def test_a_digest_that_was_not_verified_is_refused(shelf: Shelf, street: Street) -> None:
    """It is signed as well, and nobody looked."""
    index, _ = shelf.index()
    unseen = replace(street, repository=index.repository, new=index.digest)
    with pytest.raises(GateRefusedError, match=f"static: {index.digest} was not verified"):
        unseen.release("1.2.3", index.digest)
    assert unseen.tags() == {}


def test_one_variant_that_must_not_move_stops_the_other(shelf: Shelf, street: Street) -> None:
    other = shelf.image()
    shelf.say(signature(other))
    first = Subject(repository=street.repository, digest=street.new)
    verified = shelf.verify([*wanting(first), *wanting(other)])
    street.registry.put_tag(street.repository, Tag("1.2.3"), street.old)
    images = {
        "base": (other.repository, other.digest),
        "static": (first.repository, first.digest),
    }
    with pytest.raises(GateRefusedError, match="already names"):
        promote_tags(street.planned("1.2.3"), verified, images, street.registry)
    assert replace(street, repository=other.repository).tags() == {}


def test_only_verify_makes_a_verified(line: Line) -> None:
    """The release itself was verified; what its evidence says is a claim and no proof."""
    verified = line.verified or line._look()
    claim = line.run.read("verify", str(line.plan.version), VerifiedAll)
    assert claim == verified.evidence()
    with pytest.raises(DefectError, match="only verify makes"):
        Verified(subjects=verified.subjects, gates=claim.gates)
    with pytest.raises(DefectError, match="not written to a file"):
        pickle.dumps(verified)
    with pytest.raises(DefectError, match="not written to a file"):
        copy.copy(verified)
    with pytest.raises(DefectError, match="does not change"):
        verified._subjects = ()
