"""What the tests of hostile bytes share: how they are given to a reader, and what must come of it."""

from __future__ import annotations

import itertools
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.tools.github import AT_ONCE, GitHub
from sealift.tools.registry import Registry
from tests.attacks.catalogue import Attack, Kind
from tests.fuzz.readers import ANYWHERE, HOST
from tests.fuzz.wire import answer, answering

Read = Callable[[Path], object]
# Bytes that Python itself may hold at once, whatever comes.
MOST_MEMORY = 300 << 20
DEEP = b"[" * 100_000
KIND = {"Content_Type": "application/json"}


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def hole(folder: Path, name: str, size: int) -> Path:
    """Make a file of zeros that takes no room."""
    path = written(folder, name, b"")
    with path.open("r+b") as out:
        out.truncate(size)
    return path


def bomb(size: int, wbits: int = 31) -> bytes:
    """Pack zeros a thousand to one, without packing them all: each megabyte is the same bytes."""
    stream = zlib.compressobj(9, zlib.DEFLATED, wbits)
    first, block = (stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + block * ((size >> 20) - 1)


def registry() -> Registry:
    return Registry(plain_http=(HOST.host,), env=ANYWHERE)


def github() -> GitHub:
    return GitHub("http://api.github.test", "secret", "owner/name", pace=AT_ONCE)


def told(ask: Callable[[], object], *answers: bytes, drop: bytes = b"", pause: float = 0) -> Read:
    """Ask a server that gives these answers, the last one for ever."""

    def read(_: Path) -> object:
        coming = itertools.chain(answers[:-1], itertools.repeat(answers[-1]))
        with answering(coming, drop=drop, pause=pause):
            return ask()

    return read


def tags() -> object:
    return registry().tags(HOST)


def find_release() -> object:
    return github().find_release("v1.2.3")


def pages(body: bytes) -> Read:
    """List tags on pages of which each names another one."""

    def read(_: Path) -> object:
        links = (f'</v2/owner/app/tags/list?last={n}>; rel="next"' for n in itertools.count())
        with answering(answer(body, Link=link) for link in links):
            return registry().tags(HOST)

    return read


def attack(sample: str, stage: str, code: int, words: str, read: Read) -> Attack[Read]:
    return Attack(kind=Kind.RESOURCES, sample=sample, artefact=read, stage=stage, words=words, exit_code=code)


def refused(attack: Attack[Read], folder: Path) -> None:
    """Read, and compare the error; Python must not have held more than a little at any time."""
    tracemalloc.start()
    try:
        with pytest.raises(SealiftError) as caught:
            attack.artefact(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    attack.assert_blocked_by(caught.value)
    assert peak < MOST_MEMORY
    assert len(str(caught.value)) < 20_000
