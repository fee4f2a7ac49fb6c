"""Promote: tags that name another digest, on real signed images in a real registry."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

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
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.signing import Shelf, wanting

pytestmark = pytest.mark.programs

LATEST = Tag("latest")


@dataclass(frozen=True)
class Street:
    """One repository with two signed images, and the proof that they were verified."""

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


def test_promote_again_changes_nothing(street: Street) -> None:
    tags = ("1.2.3", "1.2", "1", "latest")
    for _ in range(2):
        assert street.release("1.2.3", street.new) == {street.repository: tags}
        assert street.tags() == dict.fromkeys(sorted(tags), street.new)


@each(
    Attack(
        kind=Kind.TAGS,
        sample="a version tag that names another digest",
        artefact=Tag("1.2.3"),
        stage="promote",
        words=":1.2.3 already names sha256:",
    )
)
def test_promote_rejects_version_tag_of_other_digest(street: Street, attack: Attack[Tag]) -> None:
    street.registry.put_tag(street.repository, attack.artefact, street.old)
    with pytest.raises(GateRefusedError) as caught:
        street.release("1.2.3", street.new)
    attack.assert_blocked_by(caught.value)
    assert f"{street.repository}:1.2.3 already names {street.old}, not {street.new}" in str(caught.value)
    assert street.tags() == {"1.2.3": street.old}


def test_promote_moves_no_tag_back_for_backport(street: Street) -> None:
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


def test_promote_moves_no_other_tag_for_prerelease(street: Street) -> None:
    street.release("1.1.0", street.old)
    assert street.release("1.2.0-rc.1", street.new) == {street.repository: ("1.2.0-rc.1",)}
    assert street.registry.head(street.repository.tagged(LATEST)) == street.old


@each(
    Attack(
        kind=Kind.RESOURCES,
        sample="`latest` moved by another client while the release moves its tags",
        artefact=LATEST,
        stage="promote",
        words="latest was moved by somebody else: None -> sha256:",
    )
)
def test_promote_does_not_move_tag_that_changed_meanwhile(street: Street, attack: Attack[Tag]) -> None:
    images = {"static": (street.repository, street.new)}
    once, moving, looks = promote_tags(street.planned("1.2.3"), street.verified, images, street.registry)
    street.registry.put_tag(street.repository, attack.artefact, street.old)
    put(once, street.registry, looks, {})
    moved = f"latest was moved by somebody else: None -> {street.old}"
    with pytest.raises(GateRefusedError, match=moved) as caught:
        put(moving, street.registry, looks, {})
    attack.assert_blocked_by(caught.value)
    assert street.tags()["latest"] == street.old


@each(
    Attack(
        kind=Kind.TAGS,
        sample="a digest that was not verified",
        artefact=Shelf.index,
        stage="promote",
        words=" was not verified",
    )
)
def test_promote_rejects_digest_that_was_not_verified(
    shelf: Shelf, street: Street, attack: Attack[Callable[[Shelf], tuple[Subject, Any]]]
) -> None:
    index, _ = attack.artefact(shelf)
    unseen = replace(street, repository=index.repository, new=index.digest)
    with pytest.raises(GateRefusedError, match=f"static: {index.digest} was not verified") as caught:
        unseen.release("1.2.3", index.digest)
    attack.assert_blocked_by(caught.value)
    assert unseen.tags() == {}


@each(
    Attack(
        kind=Kind.TAGS,
        sample="a version tag that names another digest in one of two repositories",
        artefact=Tag("1.2.3"),
        stage="promote",
        words="already names",
    )
)
def test_promote_moves_no_variant_when_one_is_blocked(
    shelf: Shelf, street: Street, attack: Attack[Tag]
) -> None:
    other = shelf.image()
    shelf.say(signature(other))
    first = Subject(repository=street.repository, digest=street.new)
    verified = shelf.verify([*wanting(first), *wanting(other)])
    street.registry.put_tag(street.repository, attack.artefact, street.old)
    images = {
        "base": (other.repository, other.digest),
        "static": (first.repository, first.digest),
    }
    with pytest.raises(GateRefusedError) as caught:
        promote_tags(street.planned("1.2.3"), verified, images, street.registry)
    attack.assert_blocked_by(caught.value)
    assert replace(street, repository=other.repository).tags() == {}


def forge_from_claim(true: Verified, claim: VerifiedAll) -> object:
    return Verified(subjects=true.subjects, gates=claim.gates)


def pickle_it(true: Verified, _: VerifiedAll) -> object:
    return pickle.dumps(true)


def copy_it(true: Verified, _: VerifiedAll) -> object:
    return copy.copy(true)


def change_it(true: Verified, _: VerifiedAll) -> None:
    true._subjects = ()


@each(
    *(
        Attack(kind=Kind.TAGS, sample=sample, artefact=forge, stage="promote", words=words, exit_code=1)
        for sample, forge, words in (
            ("a proof of verification that is made from evidence", forge_from_claim, "only verify makes"),
            ("a proof of verification that is written to a file", pickle_it, "not written to a file"),
            ("a copy of a proof of verification", copy_it, "not written to a file"),
            ("a proof of verification whose subjects are changed", change_it, "does not change"),
        )
    )
)
def test_promote_takes_only_what_verify_made(
    line: Line, attack: Attack[Callable[[Verified, VerifiedAll], object]]
) -> None:
    """The release itself was verified; its evidence is a claim and no proof."""
    verified = line.verified or line._look()
    claim = line.run.read("verify", str(line.plan.version), VerifiedAll)
    assert msgspec.structs.replace(claim, made_from=()) == verified.evidence()
    with pytest.raises(DefectError) as caught:
        attack.artefact(verified, claim)
    attack.assert_blocked_by(caught.value)
