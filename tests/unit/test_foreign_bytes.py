"""Every reader of foreign bytes ends in our own errors, whatever is done to a valid sample.

``nox -s fuzz`` looks on from here, by the code that is reached; what it found is kept here.
"""

from __future__ import annotations

import tracemalloc
import zipfile
from io import BytesIO
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealift.oci.documents import INDEX
from tests.fuzz.mutate import mutated
from tests.fuzz.readers import READERS
from tests.fuzz.wire import answer


def zipped(*named: str) -> bytes:
    raw = BytesIO()
    with zipfile.ZipFile(raw, "w") as out:
        for name in ("index/modules.json", *named):
            out.writestr(name, "[]")
    return raw.getvalue()


# Bytes: what a reader of one sample may take at once. Python's own parsers take twenty times what they read.
MOST_MEMORY = 64 << 20
# What broke a reader once.
FOUND: tuple[tuple[str, bytes], ...] = (
    ("archive", b"PK\x05\x06" + bytes(18)),
    ("archive", zipped("a", "a/b")),
    ("archive", zipped("a" * 300)),
    (
        "bundles",
        b'{"_type": "https://in-toto.io/Statement/v1", "predicateType": "", "subject": [{"digest": 1}]}',
    ),
    ("configuration", b"- " * 100_000),
    ("debian", b"Package: a\n"),
    ("debian", b"Package: \xff\nVersion: 1\n"),
    ("documents", b'{"layers": [{"digest": "\xff"}]}'),
    ("evidence", b"u"),
    ("evidence", b'{"gates": [{"station": "\xff"}]}'),
    ("findings", b'{"finding": {"osv": "a", "trace": []}}'),
    ("findings", b"[" * 3000),
    (
        "github",
        b"\0" + answer(b"[]", X_RateLimit_Reset="1e999", X_RateLimit_Remaining="0"),
    ),
    ("headers", b'{"errors": [{"message": "\xff"}]}'),
    ("headers", b"a:" + b"1" * 5000),
    ("lists", b"{}"),
    ("lists", b'{"spdxVersion": 1, "creationInfo": {}, "packages": 1}'),
    ("lists", b'{"metadata": {}, "components": [{"purl": 1}], "dependencies": [[]]}'),
    ("login", b'{"auths": {"https://[": {}}}'),
    ("login", b'{"auths": {"\xff": null}}'),
    ("programs", b'{"GoVersion": "\xff"}'),
    ("programs", b"[" * 3000),
    ("registry", b"\x09" + answer(status="202 Accepted", Location="http://[")),
    ("registry", b"\x03" + answer(b'{"manifests": [{"a": "\xff"}]}', Content_Type=INDEX)),
    ("repository", b"a" * 300),
    ("repository", b"a" * 90_000),
    ("tokens", b'{"aud": "sigstore", "iss": [], "sub": "a", "iat": 1, "exp": 4000000000}'),
)
names = pytest.mark.parametrize("name", READERS)


@names
def test_valid_samples_are_read_in_little_memory(name: str) -> None:
    reader = READERS[name]
    samples = reader.samples()
    for sample in samples:
        reader.read(sample)
    tracemalloc.start()
    try:
        reader.read(max(samples, key=len))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_stays_corrected(name: str, data: bytes) -> None:
    READERS[name].read(data)


@names
@given(data=st.data(), random=st.randoms(use_true_random=False))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_changed_sample_is_read_or_refused(name: str, data: st.DataObject, random: Random) -> None:
    samples = READERS[name].samples()
    sample = data.draw(st.sampled_from(samples))
    READERS[name].read(mutated(sample, random, samples))
