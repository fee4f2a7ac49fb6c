"""Push, without a registry: what may leave the machine, and what must be found there afterwards."""

from __future__ import annotations

import msgspec
import pytest

from sealift.model.evidence import Built, BuiltPlatform, Pushed
from sealift.model.names import Digest, Platform, Repository
from sealift.stations.gate import GateRefusedError
from sealift.stations.push import push
from tests.unit.stations.things import AMD64, ARM64, REPOSITORY, Shelves, built, digest_of

LAYOUT = Repository("localhost:1/static")
BODIES = {digest_of(text): text.encode() for text in ("index", "amd64", "arm64")}
INDEX, ONE, TWO = BODIES


def image() -> Built:
    platforms = {
        p: BuiltPlatform(digest=d, binary_sha256="0" * 64, compressed_bytes=1)
        for p, d in ((AMD64, ONE), (ARM64, TWO))
    }
    return msgspec.structs.replace(built("static"), digest=INDEX, platforms=platforms)


def run(shelves: Shelves, gated: dict[tuple[str, Platform], Digest]) -> Pushed:
    return push("static", image(), gated, layout=LAYOUT, target=REPOSITORY, registry=shelves)


GATED = {(station, p): d for station in ("smoke", "scan") for p, d in ((AMD64, ONE), (ARM64, TWO))}


def test_what_passed_is_copied_by_digest() -> None:
    class Empty(Shelves):
        def copy(self, source: str, target: str, *, mend: bool = False) -> Digest:
            self.bodies.update(BODIES)
            return super().copy(source, target, mend=mend)

    shelves = Empty()
    pushed = run(shelves, GATED)
    assert shelves.copied == [(f"{LAYOUT}@{INDEX}", f"{REPOSITORY}@{INDEX}")]
    assert (pushed.repository, pushed.digest) == (REPOSITORY, INDEX)
    assert shelves.tagged == {}


def test_what_is_there_is_looked_at_and_not_copied() -> None:
    shelves = Shelves(bodies=dict(BODIES))
    assert run(shelves, GATED).gates[-1].detail == f"linux/arm64 in the registry: {TWO}"
    assert shelves.copied == []


@pytest.mark.parametrize("wrong", GATED)
def test_a_gate_that_looked_at_something_else_stops_it(wrong: tuple[str, Platform]) -> None:
    shelves = Shelves()
    with pytest.raises(GateRefusedError, match=f"what {wrong[0]} looked at, {wrong[1]}: expected"):
        run(shelves, GATED | {wrong: INDEX})
    assert shelves.copied == []


def test_no_gate_at_all_stops_it_too() -> None:
    shelves = Shelves()
    with pytest.raises(GateRefusedError, match="nothing was looked at"):
        run(shelves, {})
    assert shelves.copied == []


@pytest.mark.parametrize("changed", [INDEX, TWO])
def test_other_bytes_in_the_registry_are_refused(changed: Digest) -> None:
    with pytest.raises(GateRefusedError, match=f"in the registry: expected {changed}"):
        run(Shelves(bodies=BODIES | {changed: b"other bytes"}), GATED)
