"""Every reader of foreign bytes ends in our own errors, whatever is done to a valid sample.

``nox -s fuzz`` looks on from here, by the code that is reached; what it found is kept here as SAMPLES.
"""

from __future__ import annotations

import tracemalloc
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutate import mutated
from tests.fuzz.readers import READERS

# Bytes: what a reader of one sample may take at once. Python's own parsers take twenty times what they read.
MOST_MEMORY = 64 << 20
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


@names
@given(data=st.data(), random=st.randoms(use_true_random=False))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_changed_sample_is_read_or_refused(name: str, data: st.DataObject, random: Random) -> None:
    samples = READERS[name].samples()
    sample = data.draw(st.sampled_from(samples))
    READERS[name].read(mutated(sample, random, samples))
