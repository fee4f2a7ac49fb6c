"""Push, without a registry: what may leave the machine, and what must be found there afterwards."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
import pytest

from sealift.errors import OutsideError
from sealift.model.evidence import Built, BuiltPlatform, Pushed
from sealift.model.names import Digest, Platform, Repository
from sealift.stations.gate import GateRefusedError
from sealift.stations.push import push
from sealift.tools.registry_denied import DeniedError
from sealift.tools.registry_http import NotThereError
from tests.unit.stations.things import AMD64, ARM64, REPOSITORY, Shelves, built, digest_of

LAYOUT = Repository("localhost:1/static")
CONFIG, LAYER = digest_of("config"), digest_of("layer")


def body(**told: object) -> bytes:
    return json.dumps(told).encode()


IMAGES = [body(config={"digest": CONFIG}, layers=[{"digest": LAYER}], of=name) for name in ("amd64", "arm64")]
ONE, TWO = map(digest_of, IMAGES)
TOP = body(manifests=[{"digest": ONE}, {"digest": TWO}])
INDEX = digest_of(TOP)
BODIES = {INDEX: TOP, ONE: IMAGES[0], TWO: IMAGES[1]}
BLOBS = {CONFIG, LAYER}


@dataclass(frozen=True, kw_only=True)
class Held(Shelves):
    """A registry that gives what it has; whatever is copied to it is there afterwards, but for ``never``."""

    never: frozenset[Digest] = frozenset()

    def manifest(self, reference: str) -> bytes:
        if Digest(reference.partition("@")[2]) not in self.bodies:
            raise NotThereError(f"{reference} is not there")
        return super().manifest(reference)

    def copy(self, source: str, target: str) -> Digest:
        self.bodies.update({d: b for d, b in BODIES.items() if d not in self.never})
        self.blobs.update(BLOBS - self.never)
        return super().copy(source, target)


def held(*, but: Digest | None = None, never: Digest | None = None) -> Held:
    return Held(
        bodies={d: b for d, b in BODIES.items() if d != but},
        blobs={d for d in BLOBS if d != but},
        never=frozenset({never} if never else ()),
    )


@dataclass(frozen=True, kw_only=True)
class FirstPush(Held):
    """A registry that denies access to a repository until something was copied to it; or for ever."""

    makes_it: bool = True

    def manifest(self, reference: str) -> bytes:
        if not self.copied or not self.makes_it:
            raise DeniedError(f"{reference} could not be read: answered 401", again=False)
        return super().manifest(reference)

    def copy(self, source: str, target: str) -> Digest:
        if not self.makes_it:
            raise OutsideError(f"{source} could not be copied to {target}", again=False)
        return super().copy(source, target)


BASE = built("static").base_digest


def image() -> Built:
    platforms = {
        p: BuiltPlatform(digest=d, binary_sha256="0" * 64, compressed_bytes=1)
        for p, d in ((AMD64, ONE), (ARM64, TWO))
    }
    return msgspec.structs.replace(built("static"), digest=INDEX, platforms=platforms)


def run(shelves: Shelves, gated: dict[tuple[str, Platform], Digest], base: Digest = BASE) -> Pushed:
    return push("static", image(), gated, base=base, layout=LAYOUT, target=REPOSITORY, registry=shelves)


GATED = {(station, p): d for station in ("smoke", "scan") for p, d in ((AMD64, ONE), (ARM64, TWO))}


COPIED = [(f"{LAYOUT}@{INDEX}", f"{REPOSITORY}@{INDEX}")]


def test_what_passed_is_copied_by_digest() -> None:
    shelves = Held()
    pushed = run(shelves, GATED)
    assert shelves.copied == COPIED
    assert (pushed.repository, pushed.digest) == (REPOSITORY, INDEX)
    assert shelves.tagged == {}


def test_what_is_there_is_looked_at_and_not_copied() -> None:
    shelves = held()
    assert run(shelves, GATED).gates[-2].detail == f"linux/arm64 in the registry: {TWO}"
    assert shelves.copied == []


@pytest.mark.parametrize("lost", [INDEX, ONE, TWO, CONFIG, LAYER])
def test_what_the_registry_has_lost_is_copied_again(lost: Digest) -> None:
    shelves = held(but=lost)
    assert run(shelves, GATED).digest == INDEX
    assert shelves.copied == COPIED


def test_a_repository_that_denies_access_before_its_first_push_is_pushed_to() -> None:
    shelves = FirstPush()
    assert run(shelves, GATED).digest == INDEX
    assert shelves.copied == COPIED


def test_where_the_copy_is_denied_too_a_right_is_missing() -> None:
    with pytest.raises(OutsideError, match="could not be copied") as caught:
        run(FirstPush(makes_it=False), GATED)
    assert (caught.value.exit_code, caught.value.again) == (4, False)


@pytest.mark.parametrize(("lost", "words"), [(TWO, f"manifest {TWO}"), (LAYER, f"blob {LAYER} of {ONE}")])
def test_what_is_lost_also_after_a_copy_is_refused(lost: Digest, words: str) -> None:
    shelves = held(but=lost, never=lost)
    with pytest.raises(GateRefusedError, match=f"not in the registry: {words}"):
        run(shelves, GATED)
    assert shelves.copied == COPIED


def test_a_base_that_nobody_looked_at_stops_it() -> None:
    shelves = Shelves()
    with pytest.raises(GateRefusedError, match="the base that was looked at: expected"):
        run(shelves, GATED, base=INDEX)
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
        run(Held(bodies=BODIES | {changed: b"{}"}, blobs=BLOBS), GATED)
