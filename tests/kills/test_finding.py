"""What a world's folder says of a release is read as a registry would read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.model.names import Digest
from sealift.tools.registry import BUNDLE_TYPE
from tests.kills.finding import Traces
from tests.kills.left import OwnDesk

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
