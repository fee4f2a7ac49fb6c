"""Let libFuzzer look for bytes that break one reader; tests/fuzz/__main__.py starts it."""

from __future__ import annotations

import signal
import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["sealift", "elftools"]):
    from tests.fuzz.mutate import mutated
    from tests.fuzz.readers import READERS

# Seconds of processor time for one input: the machine may be busy with something else.
MOST_SECONDS = 10.0


class TookTooLongError(BaseException):
    """What no reader catches."""


def too_long(*_: object) -> None:
    raise TookTooLongError(f"more than {MOST_SECONDS:g} s of processor time for one input")


def main() -> None:
    """Take the reader's name, then what libFuzzer takes."""
    program, name, *words = sys.argv
    reader = READERS[name]
    samples = reader.samples()

    def read(data: bytes) -> None:
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
        reader.read(data)
        signal.setitimer(signal.ITIMER_PROF, 0)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        random = Random(seed)  # noqa: S311 - nothing secret
        if random.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return mutated(data, random, samples)[:most]

    signal.signal(signal.SIGPROF, too_long)
    atheris.Setup([program, *words], read, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
