"""Let libFuzzer look for bytes that break one reader; tests/fuzz/__main__.py starts it."""

from __future__ import annotations

import sys
import time
from random import Random

import atheris

with atheris.instrument_imports(include=["sealift", "elftools"]):
    from tests.fuzz.mutate import mutated
    from tests.fuzz.readers import READERS

# Seconds of processor time for one input: the machine may be busy with something else.
MOST_SECONDS = 10.0


def main() -> None:
    """Take the reader's name, then what libFuzzer takes."""
    program, name, *words = sys.argv
    reader = READERS[name]
    samples = reader.samples()

    def read(data: bytes) -> None:
        began = time.process_time()
        reader.read(data)
        if (took := time.process_time() - began) > MOST_SECONDS:
            raise AssertionError(f"{name} took {took:.1f} s of processor time for {len(data)} bytes")

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)  # noqa: S311 - nothing secret
        if random.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return mutated(data, random, samples)[:most]

    atheris.Setup([program, *words], read, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
