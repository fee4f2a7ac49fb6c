"""Which tags a release may put, decided without a registry."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.errors import DefectError, OutsideError
from sealift.model.names import Digest, Repository, Tag, Version
from sealift.model.statements import Subject
from sealift.stations.draft import PublishedRelease
from sealift.stations.gate import GateRefusedError, Looks
from sealift.stations.image import labels
from sealift.stations.promote import Move, decide, newest_with, promote_tags, promoted, put
from sealift.stations.verify import Verified
from sealift.tools.registry import ImmutableTagError
from tests.unit.stations.things import REPOSITORY, Shelves, digest_of, plan

OLD, NEW, STRANGE = digest_of("old"), digest_of("new"), digest_of("strange")
RELEASE = PublishedRelease(tag="v1.2.3", release_id=1, url="url", immutable=True, made=True)


def holding(**tags: str) -> Shelves:
    shelves = Shelves()
    for tag, name in tags.items():
        shelves.tagged[f"{REPOSITORY}:{tag}"] = digest_of(name)
    return shelves


def decided(version: str, shelves: Shelves) -> tuple[dict[str, object], list[str]]:
    looks = Looks("promote", version)
    moves = decide(plan(version), REPOSITORY, NEW, shelves, looks)
    assert {(m.repository, m.digest) for m in moves} <= {(REPOSITORY, NEW)}
    return {m.tag: m.before for m in moves}, [f"{g.verdict}: {g.detail}" for g in looks.gates]


@pytest.mark.parametrize(
    ("prefix", "newest"),
    [("latest", "2.1.0"), ("1", "1.10.0"), ("1.2", "1.2.9"), ("3", None), ("2.0", "2.0.0")],
)
def test_the_newest_of_each_line(prefix: str, newest: str | None) -> None:
    tags = (
        "1.2.3",
        "1.2.9",
        "1.2.10-rc.1",
        "1.10.0",
        "2.0.0",
        "2.1.0",
        "3.0.0-rc.1",
        "latest",
        "1",
        "sha256-ab",
    )
    found = newest_with(Tag(prefix), tuple(map(Tag, tags)))
    assert (None if found is None else str(found)) == newest


def test_a_first_release_puts_all_its_tags() -> None:
    assert decided("1.2.3", Shelves()) == (dict.fromkeys(["1.2.3", "1.2", "1", "latest"]), [])


def test_what_a_tag_names_now_is_remembered() -> None:
    moves, _ = decided("1.2.3", holding(**{"1.2.2": "old", "1.2": "old", "1": "old", "latest": "strange"}))
    assert moves == {"1.2.3": None, "1.2": OLD, "1": OLD, "latest": STRANGE}


def test_a_backport_leaves_what_is_newer() -> None:
    shelves = holding(**{"1.1.0": "old", "1.0.0": "old", "2.0.0": "old"})
    moves, words = decided("1.0.1", shelves)
    assert list(moves) == ["1.0.1", "1.0"]
    assert words == [
        f"pass: {REPOSITORY}:1 stays at 1.1.0: 1.0.1 is older",
        f"pass: {REPOSITORY}:latest stays at 2.0.0: 1.0.1 is older",
    ]


def test_a_prerelease_puts_its_own_tag_only() -> None:
    assert list(decided("2.0.0-rc.1", holding(**{"1.0.0": "old"}))[0]) == ["2.0.0-rc.1"]


def test_a_prerelease_that_is_newer_holds_nothing_back() -> None:
    assert list(decided("1.9.0", holding(**{"2.0.0-rc.1": "old"}))[0]) == ["1.9.0", "1.9", "1", "latest"]


OURS = labels(plan("99.0.0"))
VERSION = "org.opencontainers.image.version"


@pytest.mark.parametrize("kind", ["index", "image"])
@pytest.mark.parametrize(
    "foreign",
    [
        labels(plan("1.2.2")),
        {},
        {VERSION: "1.2.2"},
        OURS | {"org.opencontainers.image.title": "another component"},
        OURS | {"org.opencontainers.image.source": "https://github.com/another/owner"},
    ],
)
def test_a_tag_that_was_not_released_here_holds_nothing_back(foreign: dict[str, str], kind: str) -> None:
    shelves = holding(**{"1.2.2": "old", "latest": "old", "20260801": "x", "v99.1.0": "x", "2026.08.01": "x"})
    shelves.put_labelled(REPOSITORY, "99.0.0", foreign, kind)
    moves, words = decided("1.2.3", shelves)
    assert list(moves) == ["1.2.3", "1.2", "1", "latest"]
    assert words == [f"pass: {REPOSITORY}:99.0.0 was not released here; latest may move"]


def test_the_newest_that_was_released_here_holds_back_below_a_foreign_one() -> None:
    shelves = holding(**{"1.2.2": "old"})
    shelves.put_labelled(REPOSITORY, "99.0.0", labels(plan("1.2.2")))
    shelves.put_labelled(REPOSITORY, "2.0.0", labels(plan("2.0.0")))
    moves, words = decided("1.2.3", shelves)
    assert list(moves) == ["1.2.3", "1.2", "1"]
    assert words[-1] == f"pass: {REPOSITORY}:latest stays at 2.0.0: 1.2.3 is older"


def test_what_was_released_under_another_name_still_holds_its_moving_tags() -> None:
    shelves = Shelves()
    renamed = labels(plan("2.0.0")) | {"org.opencontainers.image.source": "https://github.com/old/name"}
    digest = shelves.put_labelled(REPOSITORY, "2.0.0", renamed)
    assert "latest" in decided("1.2.3", shelves)[0]
    shelves.tagged[f"{REPOSITORY}:latest"] = digest
    assert "latest" not in decided("1.2.3", shelves)[0]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b'{"manifests": [{}]}', b'{"manifests": 1}', b'{"config": {"digest": "x"}}'),
        b'{"manifests": ' + b"[" * 100_000,
    ],
    ids=range(7),
)
def test_an_image_that_tells_nothing_counts_as_released(body: bytes) -> None:
    shelves = holding(**{"2.0.0": "strange"})
    shelves.bodies[digest_of("strange")] = body
    assert "latest" not in decided("1.2.3", shelves)[0]


def test_a_tag_that_is_listed_and_not_there_counts_as_released() -> None:
    class Stale(Shelves):
        def tags(self, repository: Repository) -> tuple[Tag, ...]:
            return (*super().tags(repository), Tag("2.0.0"))

    assert "latest" not in decided("1.2.3", Stale())[0]


def test_an_image_without_labels_counts_where_the_moving_tag_names_it() -> None:
    shelves = Shelves()
    digest = shelves.put_labelled(REPOSITORY, "2.0.0", {})
    assert "latest" in decided("1.2.3", shelves)[0]
    shelves.tagged[f"{REPOSITORY}:latest"] = digest
    assert "latest" not in decided("1.2.3", shelves)[0]


def test_a_registry_that_fails_decides_nothing() -> None:
    class Failing(Shelves):
        def manifest(self, reference: str) -> bytes:
            raise OutsideError(f"{reference} could not be read")

    with pytest.raises(OutsideError, match="could not be read"):
        decided("1.2.3", Failing(tagged=holding(**{"2.0.0": "old"}).tagged))


def test_a_version_is_one_digest_for_ever() -> None:
    moves, words = decided("1.2.3", holding(**{"1.2.3": "old"}))
    assert moves == {}
    assert words == [f"refused: {REPOSITORY}:1.2.3 already names {OLD}, not {NEW}"]


def test_the_same_release_again_is_already_true() -> None:
    moves, _ = decided("1.2.3", holding(**dict.fromkeys(["1.2.3", "1.2", "1", "latest"], "new")))
    assert set(moves.values()) == {NEW}


versions = st.builds("{}.{}.{}".format, *[st.integers(0, 3)] * 3)


@settings(deadline=None)
@given(st.lists(versions, min_size=1, max_size=8, unique=True))
def test_in_any_order_each_tag_ends_at_its_newest(order: list[str]) -> None:
    shelves = Shelves()
    for version in order:
        looks = Looks("promote", version)
        moves = decide(plan(version), REPOSITORY, digest_of(version), shelves, looks)
        put(moves, shelves, looks, {})
    every = tuple(map(Version.parse, order))
    for tag in shelves.tags(REPOSITORY):
        newest = max(v for v in every if tag in (v.version_tag, *v.moving_tags))
        assert shelves.tagged[f"{REPOSITORY}:{tag}"] == digest_of(str(newest))


def test_where_no_tags_move_only_the_version_is_tagged() -> None:
    looks = Looks("promote", "1.2.3")
    moves = decide(plan("1.2.3", moving_tags=()), REPOSITORY, NEW, holding(**{"1.2": "old"}), looks)
    assert [m.tag for m in moves] == ["1.2.3"]


@dataclass(frozen=True, kw_only=True)
class Immutable(Shelves):
    """A registry in which a tag that exists names what it names, but for those that may move."""

    mutable: frozenset[str] = frozenset()

    def check_movable(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        super().check_movable(repository, tag, digest)
        if tag not in self.mutable:
            raise ImmutableTagError.of(repository, tag, OutsideError("answered 400 TAG_INVALID"))

    def put_tag(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        if repository.tagged(tag) in self.tagged and tag not in self.mutable:
            raise ImmutableTagError.of(repository, tag, OutsideError("answered 400 TAG_INVALID"))
        super().put_tag(repository, tag, digest)


def verified() -> Verified:
    """Stand for what verify has found, which is another test's."""
    found = Verified.__new__(Verified)
    subject = Subject(repository=REPOSITORY, digest=NEW)
    object.__setattr__(found, "_subjects", (subject,))
    return found


def tagged_in(shelves: Shelves, version: str = "1.2.3") -> tuple[tuple[Move, ...], tuple[Move, ...], Looks]:
    return promote_tags(plan(version), verified(), {"static": (REPOSITORY, NEW)}, shelves)


OLDER = dict.fromkeys(["1.2.2", "1.2", "1", "latest"], OLD)


def test_a_moving_tag_that_cannot_move_stops_a_release_before_anything_of_it_is_seen() -> None:
    held = {f"{REPOSITORY}:{tag}": named for tag, named in OLDER.items()}
    shelves = Immutable(tagged=dict(held), mutable=frozenset({"1"}))
    with pytest.raises(GateRefusedError) as caught:
        tagged_in(shelves)
    assert shelves.tagged == held
    assert [tag for tag in OLDER if f"the tag {REPOSITORY}:{tag} be moved" in str(caught.value)] == [
        "1.2",
        "latest",
    ]
    assert "nothing was published" in caught.value.means
    assert "`moving_tags: []` in ci/release.yaml" in caught.value.next_step


def test_what_need_not_move_may_be_immutable() -> None:
    """A first release, a release again, a prerelease, and a backport move no tag that is there."""
    named = {f"{REPOSITORY}:{tag}": NEW for tag in ("1.2.3", "1.2", "1", "latest")}
    newer = {f"{REPOSITORY}:{tag}": OLD for tag in ("1.3.0", "1.3", "1", "latest")}
    for held, version in (({}, "1.2.3"), (named, "1.2.3"), (newer, "1.2.3"), (newer, "1.4.0-rc.1")):
        shelves = Immutable(tagged=dict(held))
        once, moving, looks = tagged_in(shelves, version)
        put((*once, *moving), shelves, looks, {})
        assert shelves.tagged[f"{REPOSITORY}:{version}"] == NEW


def test_a_tag_that_turns_out_to_be_immutable_is_told_and_does_not_count_as_put() -> None:
    shelves, looks = Immutable(tagged={f"{REPOSITORY}:1": OLD}), Looks("promote", "1.2.3")
    done: dict[str, None] = {}
    with pytest.raises(GateRefusedError, match="does not let the tag") as caught:
        put((move("1", before="old"),), shelves, looks, done)
    assert "moving_tags" in caught.value.next_step
    assert done == {}


def move(tag: str, *, before: str | None) -> Move:
    named = None if before is None else digest_of(before)
    return Move(repository=REPOSITORY, tag=Tag(tag), digest=NEW, before=named)


@pytest.mark.parametrize("lost", ["1.2.3", "1.2", "latest"])
def test_a_list_that_lacks_a_tag_that_is_there_decides_nothing(lost: str) -> None:
    class Stale(Shelves):
        def tags(self, repository: Repository) -> tuple[Tag, ...]:
            return tuple(tag for tag in super().tags(repository) if tag != lost)

    held = {f"{REPOSITORY}:{tag}": NEW for tag in ("1.2.3", "1.2", "1", "latest")}
    with pytest.raises(OutsideError, match=f"lists lack {lost}, which names {NEW}") as caught:
        decide(plan("1.2.3"), REPOSITORY, NEW, Stale(tagged=held), Looks("promote", "1.2.3"))
    assert caught.value.again


def test_a_tag_that_moved_meanwhile_is_left_alone() -> None:
    shelves, looks = holding(latest="strange"), Looks("promote", "1.2.3")
    with pytest.raises(GateRefusedError, match=f"moved by somebody else: {OLD} -> {STRANGE}"):
        put(
            (move("1.2", before=None), move("latest", before="old"), move("1", before=None)),
            shelves,
            looks,
            {},
        )
    assert shelves.tagged == {f"{REPOSITORY}:1.2": NEW, f"{REPOSITORY}:latest": STRANGE}


def test_a_tag_that_is_right_is_not_put_again() -> None:
    class Full(Shelves):
        def put_tag(self, *_: object) -> None:
            raise AssertionError("put again")

    looks = Looks("promote", "1.2.3")
    put((move("1", before="new"),), Full(tagged={f"{REPOSITORY}:1": NEW}), looks, {})
    assert [g.verdict for g in looks.gates] == ["pass"]


def test_a_registry_that_forgets_is_noticed() -> None:
    class Forgetful(Shelves):
        def put_tag(self, *_: object) -> None:
            return

    looks = Looks("promote", "1.2.3")
    done: dict[str, None] = {}
    with pytest.raises(GateRefusedError, match=f"{REPOSITORY}:1.2.3: expected {NEW}, got None"):
        put((move("1.2.3", before=None), move("1", before=None)), Forgetful(), looks, done)
    assert list(done) == [f"{REPOSITORY}:1.2.3"], "what comes after is not begun"


def test_what_was_put_is_told_by_repository() -> None:
    looks = Looks("promote", "1.2.3")
    looks.passed("something")
    put_now = (f"{REPOSITORY}:1",)
    told = promoted(looks, (move("1.2.3", before=None), move("1", before=None)), put_now, RELEASE)
    assert (told.tags, told.release_url) == ({REPOSITORY: ("1.2.3", "1")}, "url")
    assert (told.put, told.published) == (put_now, True)


def test_only_a_tag_that_did_not_name_it_counts_as_put() -> None:
    shelves, looks = Shelves(), Looks("promote", "1.2.3")
    first = decide(plan("1.2.3"), REPOSITORY, NEW, shelves, looks)
    done: dict[str, None] = {}
    put(first, shelves, looks, done)
    assert list(done) == [f"{REPOSITORY}:{m.tag}" for m in first]
    again = decide(plan("1.2.3"), REPOSITORY, NEW, shelves, looks)
    put(again, shelves, looks, done)
    assert len(done) == len(first)


def test_nobody_makes_a_verified_by_hand(tmp_path: Path) -> None:
    with pytest.raises(DefectError, match="only verify"):
        Verified(subjects=(), gates=())
    with pytest.raises(DefectError, match="only verify"):
        Verified(subjects=(), gates=(), made_by=object())
    empty = Verified.__new__(Verified)
    with pytest.raises(DefectError, match="does not change"):
        empty._subjects = ()
    with pytest.raises(DefectError, match="written to a file"), (tmp_path / "proof").open("wb") as file:
        pickle.dump(empty, file)


def test_only_the_tags_of_the_plan_are_moved() -> None:
    looks = Looks("promote", "1.2.3")
    for moved in ((), (Tag("1.2"),)):
        chosen = plan("1.2.3", moving_tags=moved)
        moves = decide(chosen, REPOSITORY, NEW, Shelves(), looks)
        assert [move.tag for move in moves] == ["1.2.3", *moved]


def test_a_release_that_took_anothers_place_says_so() -> None:
    release = msgspec.structs.replace(RELEASE, note="GitHub's latest release was web-v9")
    done = promoted(Looks("promote", "1.2.3"), (), (), release)
    assert [gate.detail for gate in done.gates] == ["GitHub's latest release was web-v9"]
