"""JSON of images: what is accepted is the same for every reader, and all else is our own error."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sealift.errors import RefusedError
from sealift.model.codec import decode
from sealift.oci.documents import INDEX, MANIFEST, children, differences, read_index, read_json

LONG_S = "\u017f"
ENTRY = {
    "mediaType": MANIFEST,
    "digest": "sha256:" + "1" * 64,
    "size": 7,
    "platform": {"os": "linux", "architecture": "amd64"},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**16), 10**16) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(found=st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
@hypothesis_settings(max_examples=200, deadline=None)
def test_what_is_written_is_read(found: dict[str, Any]) -> None:
    assert read_json(msgspec.json.encode(found), "it") == found


@given(raw=st.binary(max_size=60) | st.text('{}[]":,\\u0dabtrfn1e.- \n', max_size=60).map(str.encode))
@hypothesis_settings(max_examples=500, deadline=None)
def test_what_is_accepted_other_readers_accept_too(raw: bytes) -> None:
    try:
        found = read_json(raw, "it")
    except RefusedError:
        return
    assert found == json.loads(raw) == msgspec.json.decode(raw)


@pytest.mark.parametrize(
    "raw", [b"[" * 100_000, b'{"a":' * 100_000, b'{"a":"\\"[[[' + b"[" * 50 + b'"}' + b"[" * 99]
)
def test_depth_is_bounded_before_anything_is_read(raw: bytes) -> None:
    began = time.process_time()
    with pytest.raises(RefusedError, match=r"nested more than 16 deep|not strict JSON"):
        read_json(raw, "it")
    assert time.process_time() - began < 2


@pytest.mark.parametrize("end", [b"", b"\\", b'"', b'"}'])
def test_text_without_an_end_takes_no_longer(end: bytes) -> None:
    """Each quote in it could begin a text that has no end either."""
    began = time.process_time()
    with pytest.raises(RefusedError):
        read_json(b'{"a":"' + b'\\"' * 2_000_000 + end + b"[" * 20, "it")
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "text",
    [
        '"\\u003ca\\u003e\\u0026\\u0027\\u003d"',
        '"\\/\\u002f\\\\u0041"',
        '"\\u00e9\\ud83d\\ude00\\u2028\\u0001\\u007f"',
    ],
)
def test_read_json_accepts_escapes_that_writers_use(text: str) -> None:
    assert read_json(f'{{"a":{text}}}'.encode(), "it") == json.loads(f'{{"a":{text}}}')


@pytest.mark.parametrize("text", ['"\\u0041"', '"\\\\\\u0030"', '"\\u005A"', '"\\u0020"', '"\\u007e"'])
def test_read_json_rejects_escaped_plain_character(text: str) -> None:
    with pytest.raises(RefusedError, match="is written as"):
        read_json(f'{{"a":{text}}}'.encode(), "it")


def test_brackets_in_text_are_no_depth() -> None:
    assert read_json(b'{"a":"' + b"[" * 1000 + b'\\"{"}', "it")["a"].endswith('"{')


@pytest.mark.parametrize("count", [1025, 50_000])
def test_members_are_bounded(count: int) -> None:
    with pytest.raises(RefusedError, match="members, more than 1024"):
        read_json(msgspec.json.encode({str(n): 1 for n in range(count)}), "it")


@pytest.mark.parametrize("number", [b"1e3", b"1.0", b"-0", b"1" * 19, b"1" * 5000, b"Infinity", b"-NaN"])
def test_a_number_that_readers_round_is_refused(number: bytes) -> None:
    with pytest.raises(RefusedError, match="not strict JSON"):
        read_json(b'{"a":' + number + b"}", "it")


@pytest.mark.parametrize(
    "name", ["Manifests", "MANIFESTS", f"manife{LONG_S}ts", "Layers", "Config", "Media" + "type"]
)
def test_a_name_that_go_takes_for_another_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="which some readers take for"):
        children(msgspec.json.encode({"manifests": [], name: []}), "it")


@pytest.mark.parametrize("listed", [{}, "x", [1], [[]], None])
def test_a_list_of_something_else_is_refused(listed: object) -> None:
    with pytest.raises(RefusedError, match="lists no manifests"):
        children(msgspec.json.encode({"manifests": listed}), "it")


def test_a_manifest_lists_nothing() -> None:
    assert children(b'{"layers":[],"artifactType":"x"}', "it") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"digest": "sha256:1"}, "not a digest"),
        ({"digest": "sha512:" + "1" * 128}, "not a digest"),
        ({"size": 0}, "with a size of 0"),
        ({"size": "7"}, "Expected `int`"),
        ({"size": True}, "Expected `int`"),
        ({"size": None}, "Expected `int`"),
        ({"platform": {"os": "linux"}}, "missing required field `architecture`"),
        ({"platform": None}, "for no known platform"),
        ({"annotations": {"a": 1}}, "Expected `str`"),
    ],
)
def test_an_entry_of_another_form_is_refused(change: dict[str, Any], words: str) -> None:
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [ENTRY | change]}
    with pytest.raises(RefusedError, match=words):
        read_index(msgspec.json.encode(index), "it")


@pytest.mark.parametrize(
    ("expected", "got", "words"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, ["a: expected 1, got True"]),
        ({"a": 0}, {}, ["a: expected 0, got nothing"]),
        ({}, {"a": None}, ["a: expected nothing, got None"]),
        ({"a": [1, 2]}, {"a": [1]}, ["a: expected [1, 2], got [1]"]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, ["a[0].b: expected 1, got 2"]),
        ({"a": {}}, {"a": []}, ["a: expected {}, got []"]),
    ],
)
def test_each_difference_is_named(expected: object, got: object, words: list[str]) -> None:
    assert list(differences(expected, got)) == words


def test_deep_json_of_a_known_type_is_no_crash() -> None:
    with pytest.raises(msgspec.DecodeError, match="nested too deep"):
        decode(b"[" * 100_000 + b"]" * 100_000, list[Any])
