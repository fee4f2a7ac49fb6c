"""What a world's folder says of a release is read as a registry would read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sealift.model.names import Digest
from sealift.tools.registry_bundle import BUNDLE_TYPE
from tests.kills.finding import Traces
from tests.kills.left import OwnDesk
from tests.kills.stages import Stage

JSON = dict[str, Any]
IMAGE = b"an index"
BUNDLE = json.dumps({"artifactType": BUNDLE_TYPE, "subject": {}}).encode()
UNLISTED = json.dumps({"artifactType": BUNDLE_TYPE, "subject": {"digest": "another"}}).encode()


@pytest.fixture
def traces(tmp_path: Path) -> Traces:
    return Traces(OwnDesk(tmp_path), "some")


def listed(name: str, digest: Digest, key: str = "org.opencontainers.image.ref.name") -> JSON:
    return {"digest": digest, "annotations": {key: name} if name else {}}


def repository(traces: Traces, name: str, *blobs: bytes, manifests: Sequence[JSON]) -> None:
    folder = traces.folder / "registry" / name
    (folder / "blobs" / "sha256").mkdir(parents=True)
    for blob in blobs:
        (folder / "blobs" / "sha256" / Digest.of(blob).hex).write_bytes(blob)
    (folder / "index.json").write_text(json.dumps({"manifests": manifests}))


def referrers(*digests: Digest) -> bytes:
    return json.dumps({"manifests": [{"digest": d, "artifactType": BUNDLE_TYPE} for d in digests]}).encode()


def test_a_list_of_referrers_is_no_tag_and_a_repository_without_tags_is_told_of(traces: Traces) -> None:
    nobody = referrers()
    tags = [listed("1.0.0", Digest.of(IMAGE)), listed("sha256-abc", Digest.of(nobody))]
    repository(traces, "health-caretaker", IMAGE, nobody, manifests=tags)
    repository(traces, "health-caretaker-base", manifests=[listed("", Digest.of(IMAGE))])
    repository(traces, "distroless/static", IMAGE, manifests=[listed("latest", Digest.of(IMAGE))])
    assert traces.tags() == {"health-caretaker": {"1.0.0"}, "health-caretaker-base": set()}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sha256-abc", "org.opencontainers.image.ref.name"),
        (f"sha256:{'0' * 64}", "org.olareg.referrer.subject"),
    ],
)
def test_a_bundle_is_attached_that_is_listed_and_there(traces: Traces, name: str, key: str) -> None:
    some = referrers(Digest.of(BUNDLE), Digest.of(b"never pushed"))
    lists = [listed(name, Digest.of(some), key)]
    repository(traces, "health-caretaker", BUNDLE, UNLISTED, some, manifests=lists)
    assert traces.bundles() == 1


def test_everything_of_a_release_is_counted_for_itself(traces: Traces) -> None:
    image, some = Digest.of(IMAGE), referrers(Digest.of(BUNDLE))
    tags = [listed(tag, image) for tag in ("1.0.0", "1.0", "1", "")]
    attached = listed(image, Digest.of(some), "org.olareg.referrer.subject")
    repository(traces, "health-caretaker", IMAGE, BUNDLE, some, manifests=[*tags, attached])
    repository(traces, "health-caretaker-base", manifests=[listed("1.0.0", Digest.of(b"a third one"))])
    github(traces, draft=False, states=("uploaded", "uploaded", "starter"))
    assert traces.out(frozenset({image, Digest.of(b"another")})) == {
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
    assert traces.out(frozenset({Digest.of(IMAGE)})) == dict.fromkeys(Stage, 0)


def github(traces: Traces, *, draft: bool, states: tuple[str, ...]) -> None:
    (releases := traces.folder / "github" / "releases").mkdir(parents=True)
    (releases / "1.json").write_text(json.dumps({"tag_name": "v1.0.0", "draft": draft}))
    for number, state in enumerate(states):
        (asset := traces.folder / "github" / "assets" / str(number)).mkdir(parents=True)
        (asset / "record.json").write_text(json.dumps({"state": state}))
