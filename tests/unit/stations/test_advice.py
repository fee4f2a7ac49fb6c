"""Advice never leads in a circle: each command is run, with the real stages, and changes what was found.

A piece of advice is an end where it is another version, or something that only a person can do elsewhere.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.errors import OutsideError, SealiftError
from sealift.model.names import Digest, Version
from sealift.model.status import Finding
from sealift.patience import may_help
from sealift.stations.repair import TABLE, Place, repair
from sealift.tools.github import Asset
from tests.unit.stations import test_status as status
from tests.unit.stations.resuming import Resumed, resumed
from tests.unit.stations.things import COMMIT, digest_of

Damage = Callable[[Resumed], object]
DESK = Place(world="rehearsal", version=Version.parse("1.2.3"))
REAL = Place(world="production", version=Version.parse("1.2.3"), asked=True)
# What a reader does elsewhere, once, and what ends there.
ENDS = re.compile(
    r"another version|release a new version|moving_tags|delete all but one|rehearse reset|delete them"
)


def unpublished(street: Resumed) -> None:
    street.github.put(draft=True, immutable=False)


def lost_everything(street: Resumed) -> None:
    street.github.release = None
    street.registry.tagged.clear()


def burned(street: Resumed) -> None:
    street.github.release = None
    street.github.burned = True


def immutable_tags(street: Resumed) -> None:
    status.moved_back(street)
    street.registry.immutable.update({"latest", "1"})


def stray_in_a_draft(street: Resumed) -> None:
    unpublished(street)
    status.strange_file(street)


def a_lost_blob(street: Resumed) -> None:
    manifest = json.loads(street.registry.bodies[street.platform().digest])
    street.registry.blobs.remove(Digest(manifest["config"]["digest"]))


def half_uploaded(street: Resumed) -> None:
    unpublished(street)
    street.github.drop(status.BINARY)
    assert street.github.release is not None
    starter = Asset(id=98, name=status.BINARY, size=0, uploaded=False)
    street.github.put(assets=(*street.github.release.assets, starter))


def another_platform(street: Resumed) -> None:
    """An index of the same version without one of its platforms, which the version's tag names."""
    manifest = b'{"manifests": []}'
    street.registry.bodies[digest_of(manifest)] = manifest
    street.registry.tagged[street.tag("1.2.3")] = digest_of(manifest)
    street.remembered = type(street.remembered)()
    street.github.put(body="")
    unpublished(street)


DAMAGES: dict[str, Damage] = {
    "nothing": lambda _: None,
    "the git tag is elsewhere": lambda s: setattr(s.github, "commit", "d" * 40),
    "the git tag is missing": lambda s: setattr(s.github, "commit", None),
    "the tag is unknown here": lambda s: setattr(s, "commit", None),
    "the release is missing": status.no_release,
    "everything is missing": lost_everything,
    "a draft": unpublished,
    "a burned tag": burned,
    "two releases": lambda s: setattr(s.github, "several", 2),
    "a prerelease": lambda s: s.github.put(prerelease=True),
    "other words": lambda s: s.github.put(body=""),
    "a file is missing": lambda s: s.github.drop(status.BINARY),
    "a file is half uploaded": half_uploaded,
    "a file has other bytes": lambda s: s.github.files.update({status.BINARY: b"x"}),
    "a stray file": stray_in_a_draft,
    "GitHub fails": lambda s: setattr(s.github, "broken", OutsideError("GitHub answered 503")),
    "the version tag is missing": lambda s: s.registry.tagged.pop(s.tag("1.2.3")),
    "the version tag is another's": status.other_image,
    "a platform is lost": lambda s: s.registry.bodies.pop(s.platform().digest),
    "a blob is lost": a_lost_blob,
    "the index is lost": lambda s: s.registry.bodies.pop(s.index().digest),
    "an index without platforms": another_platform,
    "no signature": status.no_signature,
    "another list": status.another_list,
    "a moving tag is behind": status.moved_back,
    "a moving tag is missing": lambda s: s.registry.tagged.pop(s.tag("1.2")),
    "a newer one": status.a_newer_one,
    "immutable tags": immutable_tags,
}


def config_of(street: Resumed) -> Digest:
    manifest = json.loads(street.registry.bodies[street.platform().digest])
    return Digest(manifest["config"]["digest"])


def perform(street: Resumed, command: str) -> None:
    """Do what a command does; one that is not known here is an error of this test or of the advice."""
    match command.removesuffix(" --production").split():
        case ["sealift", "release", *_] | ["gh", "run", "rerun", *_]:
            newer = re.search(r"--branch=v(\S+)", command)
            if newer and newer[1] != "1.2.3":
                street.promote(Version.parse(newer[1]))
            else:
                street.release()
        case ["sealift", "push", *_]:
            street.push()
        case ["sealift", "promote", *words]:
            (version,) = [w.removeprefix("--version=") for w in words] or ["1.2.3"]
            street.promote(None if version == "1.2.3" else Version.parse(version))
        case ["sealift", "status", *_]:
            street.github.broken = None
        case ["git", "push", "origin", "v1.2.3"]:
            street.github.commit = COMMIT
        case ["git", "fetch", "origin", "tag", "v1.2.3"]:
            street.commit = COMMIT
        case ["gh", "release", "delete-asset", "v1.2.3", name]:
            street.github.drop(name)
        case _:
            raise AssertionError(f"nothing is known of the command {command}")


Wrong = frozenset[tuple[str, str, str, str]]


def wrong(findings: tuple[Finding, ...]) -> Wrong:
    return frozenset((f.what, f.subject, f.verdict, f.got) for f in findings if f.verdict != "agrees")


def walk(street: Resumed, place: Place) -> str:
    """Follow the advice to its end; no state comes twice, and an error that ends it says what does help."""
    before: list[Wrong] = []
    while True:
        findings = street.look()
        command = repair(findings, place)[1]
        if not command:
            assert wrong(findings) == frozenset()
            return "agrees"
        if ENDS.search(command):
            return command
        assert wrong(findings) not in before, f"{command} changed nothing"
        before.append(wrong(findings))
        try:
            perform(street, command)
        except SealiftError as error:
            if ENDS.search(error.next_step):
                return error.next_step
            if not may_help(error):
                raise
            # What fails for now recovers, and the same is done again.
            street.github.broken = None
            before.clear()


@pytest.mark.parametrize("place", [DESK, REAL], ids=["a desk", "production"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_each_command_changes_what_was_found(tmp_path: Path, damage: Damage, place: Place) -> None:
    street = resumed(tmp_path)
    street.remember()
    damage(street)
    walk(street, place)


ENDED = {
    "the git tag is elsewhere": "release a new version",
    "a burned tag": "release another version: 1.2.4",
    "two releases": "reset",
    "immutable tags": "moving_tags",
    "an index without platforms": "release a new version",
    "a stray file": "reset",
    "a file is half uploaded": "agrees",
    "the release is missing": "agrees",
    "everything is missing": "agrees",
    "GitHub fails": "agrees",
    "no signature": "agrees",
    "a newer one": "agrees",
}


@pytest.mark.parametrize(("damage", "end"), ENDED.items())
def test_the_end_is_right(tmp_path: Path, damage: str, end: str) -> None:
    street = resumed(tmp_path)
    street.remember()
    DAMAGES[damage](street)
    assert end in walk(street, DESK)


def test_a_burned_tag_is_told_by_release_and_status_alike(tmp_path: Path) -> None:
    street = resumed(tmp_path)
    burned(street)
    for _ in range(2):
        with pytest.raises(SealiftError, match=r"could not publish|refused by GitHub before") as caught:
            street.release()
        assert (caught.value.exit_code, caught.value.next_step) == (3, "release another version: 1.2.4")
        means, command = repair(street.look(), DESK)
        assert "can never be released again" in means
        assert command == "release a new version: sealift release --version=1.2.4"
    assert street.github.release is not None
    assert street.github.release.draft


# Of a commit that is neither known here nor the release's, this test has no signatures.
UNKNOWN_ELSEWHERE = {"the git tag is elsewhere", "the tag is unknown here"}


@pytest.mark.parametrize("place", [DESK, REAL], ids=["a desk", "production"])
def test_two_things_that_are_wrong_lead_in_no_circle_either(tmp_path: Path, place: Place) -> None:
    walked, circles = 0, []
    for number, (one, other) in enumerate(itertools.combinations(DAMAGES, 2)):
        (folder := tmp_path / str(number)).mkdir()
        street = resumed(folder)
        street.remember()
        try:
            DAMAGES[one](street)
            DAMAGES[other](street)
        except (AssertionError, KeyError):
            continue  # What one takes away the other cannot change.
        if {one, other} != UNKNOWN_ELSEWHERE:
            walked += 1
            try:
                walk(street, place)
            except (AssertionError, SealiftError) as error:
                circles.append(f"{one}, {other}: {error}")
    assert circles == []
    assert walked > 300


def test_every_row_of_the_table_is_walked(tmp_path: Path) -> None:
    met = set()
    for number, damage in enumerate(DAMAGES.values()):
        (folder := tmp_path / str(number)).mkdir()
        street = resumed(folder)
        street.remember()
        damage(street)
        findings = street.look()
        met |= {row.means for row in TABLE if row.fits(findings)}
    street = resumed(tmp_path / "0")
    burned(street)
    with pytest.raises(SealiftError):
        street.release()
    findings = street.look()
    met |= {row.means for row in TABLE if row.fits(findings)}
    assert met == {row.means for row in TABLE}
