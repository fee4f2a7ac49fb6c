"""A statement is read in one form, about one subject."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.errors import RefusedError
from sealift.model.names import Digest, Repository
from sealift.model.statements import Subject
from sealift.tools.attested import read_statement

KIND, MANIFEST = "application/vnd.in-toto+json", b"{}"
SUBJECT = Subject(repository=Repository("ghcr.io/owner/app"), digest=Digest.of(MANIFEST))
NAMED = {"name": SUBJECT.repository, "digest": {"sha256": SUBJECT.digest.hex}}
RIGHT = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [NAMED],
    "predicateType": "https://spdx.dev/Document",
    "predicate": {"score": 7.5},
}


def read(raw: bytes, kind: str = KIND, manifest: bytes | None = MANIFEST) -> tuple[str, Any]:
    return read_statement(kind, raw, SUBJECT, manifest)


@pytest.mark.parametrize("form", ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"])
def test_either_version_is_read(form: str) -> None:
    read_said = read(json.dumps(RIGHT | {"_type": form}).encode())
    assert read_said == ("https://spdx.dev/Document", {"score": 7.5})


@pytest.mark.parametrize(
    "changed",
    [
        {"_type": "https://in-toto.io/Statement/v2"},
        {"subject": []},
        {"subject": NAMED},
        {"subject": [NAMED, NAMED]},
        {"subject": [NAMED | {"annotations": {}}]},
        {"subject": [NAMED | {"name": "docker.io/owner/app"}]},
        {"subject": [NAMED | {"digest": {"sha512": "0" * 128}}]},
        {"subject": [NAMED | {"digest": {"sha256": "0" * 64}}]},
        {"subject": [NAMED | {"digest": {"sha256": SUBJECT.digest.hex, "gitBlob": "0" * 40}}]},
        {"predicateType": None},
        {"predicate": []},
        {"predicate": {"a": 1, "A": 2}},
        {"Subject": [NAMED]},
        {"created": "now"},
    ],
)
def test_anything_else_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        read(json.dumps(RIGHT | changed).encode())


def test_another_kind_of_payload_is_refused() -> None:
    with pytest.raises(RefusedError, match="got another in text/plain"):
        read(json.dumps(RIGHT).encode(), kind="text/plain")


@pytest.mark.parametrize("algorithm", ["sha224", "sha384", "sha512", "sha3_256"])
def test_further_digests_are_computed_again(algorithm: str) -> None:
    def said(text: str) -> bytes:
        digest = {"sha256": SUBJECT.digest.hex, algorithm: text}
        return json.dumps(RIGHT | {"subject": [NAMED | {"digest": digest}]}).encode()

    right = said(hashlib.new(algorithm, MANIFEST).hexdigest())
    assert read(right)
    with pytest.raises(RefusedError, match="cannot be computed again"):
        read(right, manifest=None)
    with pytest.raises(RefusedError, match=f"expected the {algorithm}"):
        read(said("0" * 64))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes_say_the_same_or_are_refused(data: st.DataObject) -> None:
    raw = bytearray(json.dumps(RIGHT).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        kind, predicate = read(bytes(raw))
    except RefusedError:
        return
    assert isinstance(kind, str)
    assert isinstance(predicate, dict)
