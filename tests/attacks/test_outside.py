"""The whole release in a copy of its outside, where somebody has changed one thing before tags move."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from sealift.errors import RefusedError
from sealift.line import Line
from sealift.model.codec import publish, to_json
from sealift.model.names import Digest, Repository, Tag
from sealift.model.plan import Cell
from sealift.model.statements import PredicateType
from sealift.rehearsal.github.store import Ref, Store
from sealift.rehearsal.world import Stage
from sealift.services.ports import free_ports
from sealift.services.registry import public_registry
from sealift.services.service import Service, TcpReady
from sealift.services.supervised import Supervised
from sealift.stations.contents import Images
from sealift.stations.gate import GateRefusedError
from sealift.stations.verify import Verified
from sealift.tools.regctl import regctl
from sealift.tools.registry_bundle import PREDICATE_ANNOTATION
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.forging import ARM64
from tests.relinked import copied as copied_run

pytestmark = pytest.mark.programs

Tags = dict[str, tuple[Tag, ...]]


@pytest.fixture(scope="module")
def elsewhere(line: Line, stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Continue in a copy of the registry, signed by its own name, in which no tag has moved yet.

    GitHub's copy is each test's own.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(stage.folder / "registry", folder / "registry")
    (port,) = free_ports(1).release()
    with Supervised(log=folder / "supervisor.log") as services:
        services.start([public_registry(folder / "registry", port, log=folder / "registry.log")])
        run = copied_run(line.run, folder / "run")
        copied = replace(line, world=replace(line.world, registry=f"localhost:{port}"), run=run)
        with pytest.MonkeyPatch.context() as patch:
            # Lists and scans name the registry at its own address. Contents are tried in test_files.py.
            patch.setattr(Images, "check", lambda *_: None)
            run.write("sign", str(line.plan.version), copied._sign())
        for repository in repositories(copied):
            for tag in copied.clients.registry.tags(repository):
                regctl("tag", "delete", repository.tagged(tag), plain_http=copied.clients.registry.plain_http)
        yield copied


@pytest.fixture(scope="module")
def verified(elsewhere: Line) -> Verified:
    """Verify once that the copy is as good as the release."""
    return elsewhere._look()


@pytest.fixture
def github(
    elsewhere: Line, verified: Verified, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Line, Store]]:
    """Give the line a copy of GitHub, and the copy's folder."""
    # What is signed names the registry at its own address. Contents are tried in test_files.py.
    monkeypatch.setattr(Line, "_check_assets", lambda *_: None)
    folder = tmp_path / "github"
    shutil.copytree(stage.folder / "github", folder)
    (port,) = free_ports(1).release()
    api = replace(elsewhere.world.github, api=f"http://127.0.0.1:{port}")
    copied = replace(elsewhere, world=replace(elsewhere.world, github=api))
    # The page names the registry, which is at another port here.
    store = Store(folder)
    for record in store.releases():
        body = record.body.replace(f"{stage.world.registry}/", f"{elsewhere.world.registry}/")
        store.put(msgspec.structs.replace(record, body=body))
    copied.verified = verified
    with Supervised(log=tmp_path / "supervisor.log") as services:
        services.start([stand_in(stage, folder, port, tmp_path / "github.log")])
        yield copied, Store(folder)


def stand_in(stage: Stage, folder: Path, port: int, log: Path) -> Service:
    """Serve another folder on another port as the release's own stand-in does."""
    true = stage._github_service(log)
    old = {str(stage.folder / "github"): str(folder), str(stage.ports["github"]): str(port)}
    return replace(true, argv=tuple(old.get(word, word) for word in true.argv), ready=TcpReady(port))


def repositories(line: Line) -> list[Repository]:
    return [line.world.repository(variant.repository) for variant in line.plan.config.variants.values()]


def tags(line: Line) -> Tags:
    return {repository: line.clients.registry.tags(repository) for repository in repositories(line)}


def lack_an_asset(store: Store) -> None:
    store.drop_asset(store.assets(store.releases()[0].id)[0].id)


def add_a_foreign_asset(store: Store) -> None:
    release = store.releases()[0].id
    about = {"label": "", "content_type": "text/plain"}
    store.add_asset(release, name="extra.txt", content=b"extra", complete=True, **about)


def change_an_asset(store: Store) -> None:
    asset = store.assets(store.releases()[0].id)[0]
    path = store._folder / "assets" / str(asset.id) / "content"
    path.write_bytes(path.read_bytes() + b"\0")


def show_another_commit(store: Store) -> None:
    publish(store._folder / "refs.json", to_json({"v1.0.0": Ref(sha="0" * 40)}))


def lose_the_tag(store: Store) -> None:
    publish(store._folder / "refs.json", to_json({}))


def be_a_prerelease(store: Store) -> None:
    store.put(msgspec.structs.replace(store.releases()[0], prerelease=True))


def damage(sample: str, do: Callable[[Store], None], words: str) -> Attack[Callable[[Store], None]]:
    return Attack(kind=Kind.TAGS, sample=sample, artefact=do, stage="promote", words=words)


LACKS_AN_ASSET = damage(
    "a published release without one asset", lack_an_asset, "published release v1.0.0 lacks, or has with"
)
ANOTHER_COMMIT = damage(
    "a tag of another commit on GitHub", show_another_commit, f"the tag v1.0.0 names {'0' * 40} on GitHub"
)


@each(
    LACKS_AN_ASSET,
    damage("a foreign asset", add_a_foreign_asset, "has assets that were not built here: extra.txt"),
    damage("an asset with other bytes", change_an_asset, "lacks, or has with other bytes: "),
    ANOTHER_COMMIT,
    damage("a tag that GitHub lost", lose_the_tag, "the tag v1.0.0 is not on GitHub"),
    damage(
        "a release turned into a prerelease", be_a_prerelease, "is published with prerelease=True, not False"
    ),
)
def test_no_tag_moves_while_github_is(
    github: tuple[Line, Store], attack: Attack[Callable[[Store], None]]
) -> None:
    line, store = github
    attack.artefact(store)
    with pytest.raises(RefusedError) as caught:
        line._promote()
    attack.assert_blocked_by(caught.value)
    assert set(tags(line).values()) == {()}


@each(
    replace(LACKS_AN_ASSET, sample="an asset that went after the draft was compared"),
    replace(ANOTHER_COMMIT, sample="a tag that moved after the draft was compared"),
)
def test_no_tag_moves_where_github_changed_after_the_draft(
    github: tuple[Line, Store], line: Line, attack: Attack[Callable[[Store], None]]
) -> None:
    copied, store = github
    assert line.state is not None
    notes = line.state.notes.replace(f"{line.world.registry}/", f"{copied.world.registry}/")
    copied.state = msgspec.structs.replace(line.state, notes=notes)
    attack.artefact(store)
    with pytest.raises(RefusedError) as caught:
        copied._promote()
    attack.assert_blocked_by(caught.value)
    assert set(tags(copied).values()) == {()}


def test_one_signature_that_was_lost_is_missed(elsewhere: Line) -> None:
    """The copy is changed for good: this comes after all that verified it."""
    cell = Cell("base", ARM64)
    repository = elsewhere.world.repository(elsewhere.plan.variant(cell.variant).repository)
    digest = Digest(elsewhere.built(cell.variant).platforms[cell.platform].digest)
    registry = elsewhere.clients.registry
    for found in registry.referrers(repository, digest):
        if found.annotations[PREDICATE_ANNOTATION] == PredicateType.SIGNATURE:
            done = regctl("manifest", "delete", repository.at(found.digest), plain_http=registry.plain_http)
            assert done.returncode == 0
    with pytest.raises(GateRefusedError) as caught:
        elsewhere._look()
    refused = [gate for gate in caught.value.gates if gate.verdict == "refused"]
    assert [gate.subject for gate in refused] == [repository.at(digest)]
    assert refused[0].detail.startswith(f"{PredicateType.SIGNATURE} by the sigstore library: missing")
    assert set(tags(elsewhere).values()) == {()}
