"""The status of a released version: whole, damaged, and whole again after the one command that it names."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sealift.model.names import Digest, Tag
from sealift.model.statements import PredicateType
from sealift.provision.everything import Provided
from sealift.tools.registry import Registry
from sealift.tools.registry_bundle import PREDICATE_ANNOTATION
from tests.rehearsal.playing import Desk, Played
from tests.rehearsal.town import Town, delete

pytestmark = pytest.mark.programs

BINARY = "health-caretaker-0.1.0-static-linux-amd64"


@pytest.fixture(scope="module")
def town(provided: Provided, tmp_path_factory: pytest.TempPathFactory) -> Town:
    assert provided.programs
    desk = Desk.set_up(tmp_path_factory.mktemp("town") / "clone")
    said = desk.sealift("release")
    assert said.status == 0, said.stderr
    return Town(desk)


@contextmanager
def restored(*folders: Path, beside: Path) -> Iterator[None]:
    """Put folders back as they were: what no command repairs."""
    for number, folder in enumerate(folders):
        shutil.copytree(folder, beside / str(number))
    try:
        yield
    finally:
        for number, folder in enumerate(folders):
            shutil.rmtree(folder)
            shutil.copytree(beside / str(number), folder)


def test_a_whole_release_agrees_while_its_services_are_kept(played: Played) -> None:
    said = played.desk.sealift("status")
    assert said.status == 0, said.stdout + said.stderr
    assert said.stdout.splitlines()[-1] == "0.1.0, rehearsal: 56 agree"
    assert played.desk.sealift("rehearse", "env").status == 0


def test_a_whole_release_agrees_and_nothing_is_changed_by_looking(town: Town) -> None:
    before = town.remembered()
    status, told = town.status("0.1.0")
    assert status == 0, told
    assert (told["version"], told["world"], told["repair"]) == ("0.1.0", "rehearsal", "")
    assert {f["verdict"] for f in told["findings"]} == {"agrees"}
    assert town.remembered() == before


def test_a_world_that_is_not_there_is_named_with_what_makes_it(town: Town) -> None:
    said = town.desk.sealift("status", "--world-name=nowhere")
    assert said.status == 2
    assert "there is no world nowhere" in said.stderr
    assert "next: sealift release --world-name=nowhere" in said.stderr
    assert not (town.world.parent / "nowhere").exists()


@pytest.mark.parametrize("words", [("1.2",), ("0.1.0", "--version=0.1.1")])
def test_a_version_that_is_none_is_a_usage_error(town: Town, words: tuple[str, ...]) -> None:
    assert town.desk.sealift("status", *words).status == 2


Damage = Callable[[Town, Registry], object]


def platform(town: Town, registry: Registry) -> Digest:
    """Name the image of the first platform."""
    index = json.loads(registry.manifest(town.repository.at(tagged(town, registry))))
    return Digest(index["manifests"][0]["digest"])


def tagged(town: Town, registry: Registry) -> Digest:
    digest = registry.head(town.repository.tagged(Tag("0.1.0")))
    assert digest is not None
    return digest


def no_signature(town: Town, registry: Registry) -> None:
    digest = platform(town, registry)
    (found,) = (
        r
        for r in registry.referrers(town.repository, digest)
        if r.annotations[PREDICATE_ANNOTATION] == PredicateType.SIGNATURE
    )
    delete(registry, town.repository.at(found.digest))


def no_platform(town: Town, registry: Registry) -> None:
    """Remove it on disk: olareg keeps what an index names, whoever deletes it."""
    digest = platform(town, registry)
    (town.world / "registry" / town.repository.path / "blobs" / "sha256" / digest.hex).unlink()


def no_version_tag(town: Town, registry: Registry) -> None:
    delete(registry, town.repository.tagged(Tag("0.1.0")), "tag")


def moved_back(town: Town, registry: Registry) -> None:
    registry.put_tag(town.repository, Tag("latest"), platform(town, registry))


@pytest.mark.parametrize(
    ("damage", "named", "command"),
    [
        (no_signature, ("signature", "missing"), "sealift release"),
        (no_platform, ("platform", "missing"), "sealift push"),
        (no_version_tag, ("version tag", "missing"), "sealift release"),
        (moved_back, ("moving tag", "differs"), "sealift promote"),
    ],
)
def test_what_the_registry_lost_is_named_and_the_command_repairs_it(
    town: Town, tmp_path: Path, damage: Damage, named: tuple[str, str], command: str
) -> None:
    with town.registry(tmp_path) as registry:
        damage(town, registry)
    wrong, repair = town.wrong()
    # A version tag that is gone is no version that a moving tag could name.
    assert set(wrong) - {("moving tag", "differs")} <= {named}
    assert named in wrong
    assert repair == command
    said = town.desk.sealift(*shlex.split(repair)[1:])
    assert said.status == 0, said.stderr
    status, told = town.status()
    assert status == 0, told


def test_a_version_tag_that_names_another_image_is_beyond_repair(town: Town, tmp_path: Path) -> None:
    with restored(town.world / "registry", beside=tmp_path):
        with town.registry(tmp_path) as registry:
            registry.put_tag(town.repository, Tag("0.1.0"), platform(town, registry))
        wrong, repair = town.wrong()
    assert ("version tag", "differs") in wrong
    assert repair == "release a new version: sealift release --version=0.1.1"


@pytest.mark.parametrize("change", ["missing", "differs"])
def test_a_published_release_with_another_file_is_beyond_repair(
    town: Town, tmp_path: Path, change: str
) -> None:
    with restored(town.world / "github", beside=tmp_path):
        asset = town.records()[BINARY]
        if change == "missing":
            shutil.rmtree(asset)
        else:
            (asset / "content").write_bytes(b"something else")
        wrong, repair = town.wrong()
    assert wrong == [("asset", change)]
    assert repair == "release a new version: sealift release --version=0.1.1"


@pytest.mark.parametrize("change", ["missing", "differs"])
def test_a_draft_with_another_file_is_brought_right(town: Town, change: str) -> None:
    (path,) = town.world.glob("github/releases/*.json")
    release = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(release | {"draft": True, "immutable": False, "published_at": None}))
    asset = town.records()[BINARY]
    if change == "missing":
        shutil.rmtree(asset)
    else:
        (asset / "content").write_bytes(b"something else")
    wrong, repair = town.wrong()
    assert wrong == [("GitHub release", "differs"), ("asset", change)]
    assert repair == "sealift release"
    assert town.desk.sealift("release").status == 0
    assert town.status()[0] == 0


def test_a_tag_whose_immutable_release_was_deleted_is_followed_by_another_version(
    town: Town, tmp_path: Path
) -> None:
    with restored(town.world / "github", beside=tmp_path):
        for path in (*town.world.glob("github/releases/*.json"), *town.world.glob("github/assets/*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for _ in range(2):
            said = town.desk.sealift("release")
            assert said.status == 3, said.stderr
            assert "release another version: 0.1.1" in said.stderr
            wrong, repair = town.wrong()
            assert ("GitHub release", "differs") in wrong
            assert repair == "release a new version: sealift release --version=0.1.1"


def test_a_github_that_fails_is_not_one_that_has_nothing(town: Town, tmp_path: Path) -> None:
    with restored(town.world / "github", beside=tmp_path):
        for path in town.world.glob("github/releases/*.json"):
            path.write_text("{", encoding="utf-8")
        status, told = town.status()
    assert status == 4, told
    wrong = [(f["what"], f["verdict"]) for f in told["findings"] if f["verdict"] != "agrees"]
    assert wrong == [("GitHub release", "not checked")]
    assert told["repair"] == "sealift status"


def test_production_is_looked_at_from_a_desk_and_what_does_not_answer_is_not_checked(town: Town) -> None:
    nobody = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:1")
    env = nobody | {"NO_PROXY": "", "no_proxy": "", "GITHUB_TOKEN": "", "GITHUB_ACTIONS": ""}
    said = town.desk.sealift("status", "--production", "--json", env=env)
    assert said.status == 4, said.stdout + said.stderr
    told = json.loads(said.stdout)
    assert {f["verdict"] for f in told["findings"]} == {"not checked"}
    assert told["world"] == "production"
    assert told["repair"] == "sealift status --production"
    assert "without GITHUB_TOKEN" in said.stderr
