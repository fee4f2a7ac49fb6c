"""What a world's folder says of a release is read as a registry would read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.model.names import Digest
from sealift.tools.registry import BUNDLE_TYPE
from tests.kills.finding import Traces
from tests.kills.left import OwnDesk
from tests.kills.stages import Stage

BUNDLE = json.dumps({"artifactType": BUNDLE_TYPE, "subject": {}}).encode()
UNLISTED = json.dumps({"artifactType": BUNDLE_TYPE, "subject": {"digest": "another"}}).encode()


@pytest.fixture
def traces(tmp_path: Path) -> Traces:
    return Traces(OwnDesk(tmp_path), "some")


def repository(traces: Traces, name: str, *blobs: bytes, tags: dict[str, bytes]) -> None:
    folder = traces.folder / "registry" / name
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for blob in (*blobs, *tags.values()):
        (folder / "blobs" / "sha256" / Digest.of(blob).hex).write_bytes(blob)
    named = [
        {"digest": Digest.of(blob), "annotations": {"org.opencontainers.image.ref.name": tag}}
        for tag, blob in tags.items()
    ]
    (folder / "index.json").write_text(json.dumps({"manifests": named}))


def test_a_list_of_referrers_is_no_tag_and_a_repository_without_tags_is_told_of(traces: Traces) -> None:
    referrers = json.dumps({"manifests": []}).encode()
    repository(traces, "health-caretaker", tags={"1.0.0": b"{}", "sha256-abc": referrers})
    repository(traces, "health-caretaker-base", tags={})
    repository(traces, "distroless/static", tags={"latest": b"{}"})
    assert traces.tags() == {"health-caretaker": {"1.0.0"}, "health-caretaker-base": set()}


def test_with_the_referrers_api_every_bundle_is_attached(traces: Traces) -> None:
    repository(traces, "health-caretaker", BUNDLE, UNLISTED, b"a layer", tags={})
    assert traces.bundles() == 2


def test_without_it_a_bundle_is_attached_that_is_listed_and_there(traces: Traces) -> None:
    digests = (Digest.of(BUNDLE), Digest.of(b"never pushed"))
    listed = [{"digest": digest, "artifactType": BUNDLE_TYPE} for digest in digests]
    referrers = json.dumps({"manifests": listed}).encode()
    repository(traces, "health-caretaker", BUNDLE, UNLISTED, tags={"sha256-abc": referrers})
    assert traces.bundles() == 1


def test_everything_of_a_release_is_counted_for_itself(traces: Traces) -> None:
    image, other = b"an index", b"another index"
    repository(traces, "health-caretaker", image, BUNDLE, tags={"1.0.0": b"{}", "1.0": b"{}", "1": b"{}"})
    repository(traces, "health-caretaker-base", tags={"1.0.0": b"{}"})
    github(traces, draft=False, states=("uploaded", "uploaded", "starter"))
    out = traces.out(frozenset({Digest.of(image), Digest.of(other)}))
    assert out == {
        Stage.IMAGES: 1,
        Stage.SIGNATURES: 1,
        Stage.ASSETS: 2,
        Stage.VERSION_TAGS: 2,
        Stage.PUBLISHED: 1,
        Stage.MOVING_TAGS: 2,
    }


def test_a_draft_is_not_published_and_what_is_being_uploaded_stays(traces: Traces) -> None:
    github(traces, draft=True, states=("uploaded",))
    (unfinished := traces.folder / "github" / "assets" / ".new-7").mkdir()
    (unfinished / "record.json").write_text("{")
    out = traces.out(frozenset())
    assert (out[Stage.PUBLISHED], out[Stage.ASSETS]) == (0, 1)
    assert unfinished.is_dir()


def test_of_a_world_that_is_not_there_yet_nothing_is_out(traces: Traces) -> None:
    assert traces.out(frozenset({Digest.of(b"an index")})) == dict.fromkeys(Stage, 0)


def github(traces: Traces, *, draft: bool, states: tuple[str, ...]) -> None:
    (releases := traces.folder / "github" / "releases").mkdir(parents=True)
    (releases / "1.json").write_text(json.dumps({"tag_name": "v1.0.0", "draft": draft}))
    for number, state in enumerate(states):
        (asset := traces.folder / "github" / "assets" / str(number)).mkdir(parents=True)
        (asset / "record.json").write_text(json.dumps({"state": state}))
