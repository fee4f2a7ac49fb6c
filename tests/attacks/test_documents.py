"""Image: indexes and manifests with two meanings, or that the plan does not describe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift.stations.gate import GateRefusedError
from tests.attacks.catalogue import Attack, Kind, attacks, each, refusals
from tests.unit.stations.imaged import also, changed, first, look, text

Change = Callable[[Any], Any]
DEEP = 100_000
MISSING = "sha256:" + "0" * 64
# Go takes it for an s.
LONG_S = "\u017f"


@each(
    *attacks(
        Kind.READERS,
        "image",
        {
            "a document with an unknown member": (also(extra=1), "unknown field `extra`"),
            "a document nested 100,000 deep": (
                text(b"{", b'{"x":' + b"[" * DEEP + b"]" * DEEP + b","),
                "nested more than 16 deep",
            ),
            "a document of more than 4 MiB": (
                text(b"{", b"{" + b" " * (4 * 1024 * 1024)),
                "bytes, more than",
            ),
            "a document that begins with a byte order mark": (
                text(b"{", b"\xef\xbb\xbf{"),
                "not strict JSON",
            ),
            "a document with bytes behind its end": (
                lambda found: msgspec.json.encode(found) + b"{}",
                "not strict JSON: Extra data",
            ),
            "a document that is not UTF-8": (text(b"{", b'{"x":"\xff",'), "not strict JSON"),
            "a document with half a surrogate pair": (text(b"{", b'{"x":"\\ud800",'), "not strict JSON"),
            "a document with an escaped letter": (
                text(b'"s', b'"\\u0073'),
                "the character 's' is written as \\u0073",
            ),
            "a document with NaN": (text(b"{", b'{"x":NaN,'), "NaN is not a whole number"),
            "a document with a fraction": (text(b"{", b'{"x":1.0,'), "1.0 is not a whole number"),
            "a document that is a list": (lambda found: [found], "is not an object but a list"),
            "an empty document": (lambda _: b" ", "not strict JSON"),
        },
    )
)
@pytest.mark.parametrize("part", ["top", "index", "manifest", "configuration"])
def test_image_rejects_document_in_other_form(tmp_path: Path, part: str, attack: Attack[Change]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, changed(part, attack.artefact))
    attack.assert_blocked_by(caught.value)
    assert len(refusals(caught.value)) == 1


@each(
    *attacks(
        Kind.READERS,
        "image",
        {
            "an index with `Manifests` beside `manifests`": (
                text(b"{", b'{"Manifests":[],'),
                "unknown field `Manifests`",
            ),
            "an index with `manife\u017fts`, which Go takes for `manifests`": (
                text(b"{", f'{{"manife{LONG_S}ts":[],'.encode()),
                f"unknown field `manife{LONG_S}ts`",
            ),
            "an index with `manifests` twice": (
                text(b"{", b'{"manifests":[],'),
                "the member 'manifests' stands twice",
            ),
            "an index that is a manifest, too": (also(layers=[], config={}), "unknown field"),
            "an index with `subject`": (also(subject={}), "unknown field `subject`"),
            "an index with `artifactType`": (also(artifactType="x"), "unknown field `artifactType`"),
            "an index with annotations": (
                also(annotations={"a": "b"}),
                "the index: annotations: expected nothing",
            ),
            "an index that calls itself a manifest": (
                also(mediaType="application/vnd.oci.image.manifest.v1+json"),
                "calls itself 'application/vnd.oci.image.manifest.v1+json'",
            ),
            "an index that calls itself Docker's manifest list": (
                also(mediaType="application/vnd.docker.distribution.manifest.list.v2+json"),
                "the index: mediaType: expected",
            ),
            "an index of schema version 1": (also(schemaVersion=1), "has the schema version 1, not 2"),
            "an index entry with `data`": (first("manifests", data="e30="), "unknown field `data`"),
            "an index entry with `urls`": (
                first("manifests", urls=["https://elsewhere.example"]),
                "unknown field `urls`",
            ),
            "an index entry with a wrong size": (first("manifests", size=7), "manifests[0].size: expected"),
            "an index entry with a negative size": (first("manifests", size=-1), "with a size of -1"),
            "an index entry for unknown/unknown": (
                lambda f: (
                    f
                    | {
                        "manifests": [
                            *f["manifests"],
                            f["manifests"][0] | {"platform": {"os": "unknown", "architecture": "unknown"}},
                        ]
                    }
                ),
                "for no known platform",
            ),
            "an index entry without a platform": (
                lambda f: (
                    f | {"manifests": [{k: v for k, v in f["manifests"][0].items() if k != "platform"}]}
                ),
                "for no known platform",
            ),
            "an index entry with `os.version`": (
                first("manifests", platform={"os": "linux", "architecture": "amd64", "os.version": "9"}),
                "unknown field `os.version`",
            ),
            "an index entry for linux/amd64/v9": (
                first("manifests", platform={"os": "linux", "architecture": "amd64", "variant": "v9"}),
                "platforms: expected ['linux/amd64'], got ['linux/amd64/v9']",
            ),
            "an index entry for Linux/amd64": (
                first("manifests", platform={"os": "Linux", "architecture": "amd64"}),
                "platforms: expected ['linux/amd64'], got []",
            ),
            "an index entry whose manifest is missing": (
                first("manifests", digest=MISSING),
                "lacks the blob",
            ),
            "an index inside the index": (
                first("manifests", mediaType="application/vnd.oci.image.index.v1+json"),
                "with the media type 'application/vnd.oci.image.index.v1+json'",
            ),
        },
    )
)
def test_image_rejects_index_that_differs_from_plan(tmp_path: Path, attack: Attack[Change]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, changed("index", attack.artefact))
    attack.assert_blocked_by(caught.value)


@each(
    *attacks(
        Kind.READERS,
        "image",
        {
            "a manifest with `Layers` beside `layers`": (
                text(b"{", b'{"Layers":[],'),
                "unknown field `Layers`",
            ),
            "a manifest with `Config` beside `config`": (
                text(b"{", b'{"Config":{},'),
                "unknown field `Config`",
            ),
            "a manifest with `layers` twice": (
                text(b"{", b'{"layers":[],'),
                "the member 'layers' stands twice",
            ),
            "a manifest that is an index, too": (also(manifests=[]), "unknown field `manifests`"),
            "a manifest with `subject`": (also(subject={}), "unknown field `subject`"),
            "a manifest with `artifactType`": (also(artifactType="x"), "unknown field `artifactType`"),
            "a manifest with annotations": (
                also(annotations={"a": "b"}),
                "manifest: annotations: expected nothing",
            ),
            "a configuration descriptor with `data`": (first("config", data="e30="), "unknown field `data`"),
            "a layer descriptor with `urls`": (
                first("layers", urls=["https://elsewhere.example"]),
                "unknown field `urls`",
            ),
            "a nondistributable layer": (
                first("layers", mediaType="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
                "with the media type 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'",
            ),
            "a gzip layer that is declared as plain tar": (
                first("layers", mediaType="application/vnd.oci.image.layer.v1.tar"),
                "with the media type 'application/vnd.oci.image.layer.v1.tar'",
            ),
            "a layer descriptor with annotations": (
                first("layers", annotations={"a": "b"}),
                "layers[0].annotations: expected nothing",
            ),
            "a layer descriptor with a platform": (
                first("layers", platform={"os": "linux", "architecture": "amd64"}),
                "gives a platform",
            ),
            "a configuration descriptor with a wrong size": (
                first("config", size=7),
                "manifest: config.size: expected",
            ),
            "a layer descriptor with a wrong size": (first("layers", size=7), "its manifest says 7"),
            "a manifest whose layer is missing": (first("layers", digest=MISSING), "lacks the blob"),
            "a manifest whose configuration is missing": (first("config", digest=MISSING), "lacks the blob"),
            "a configuration with the media type of an attestation": (
                first("config", mediaType="application/vnd.in-toto+json"),
                "with the media type 'application/vnd.in-toto+json'",
            ),
        },
    )
)
def test_image_rejects_manifest_that_differs_from_plan(tmp_path: Path, attack: Attack[Change]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, changed("manifest", attack.artefact))
    attack.assert_blocked_by(caught.value)
