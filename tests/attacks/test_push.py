"""Push: what would ship is not what the gates saw, or the registry does not hold it."""

from __future__ import annotations

import json
import secrets

import pytest

from sealift.errors import OutsideError, RefusedError
from sealift.line import GATES_BEFORE_PUSH, Line
from sealift.model.evidence import Pushed
from sealift.model.names import Digest, Platform, Repository
from sealift.rehearsal.world import Stage
from sealift.stations.gate import GateRefusedError
from sealift.stations.push import missing, push
from sealift.tools.registry import Registry
from tests.attacks.forging import AMD64, ARM64
from tests.attacks.proxy import before

pytestmark = pytest.mark.programs

Gated = dict[tuple[str, Platform], Digest]


@pytest.fixture
def target(line: Line) -> Repository:
    """Name a repository that nobody has pushed to."""
    return line.world.repository(f"pushed/{secrets.token_hex(4)}")


@pytest.fixture
def gated(line: Line) -> Gated:
    """Read what each gate said it had looked at."""
    return {
        (station, cell.platform): line.run.read(station, str(cell), kind).digest
        for station, kind in GATES_BEFORE_PUSH.items()
        for cell in line.plan.cells_of("static")
    }


def ship(line: Line, target: Repository, gated: Gated, registry: Registry | None = None) -> Pushed:
    return push(
        "static",
        line.built("static"),
        gated,
        base=line.built("static").base_digest,
        layout=line.world.layout_repository("static"),
        target=target,
        registry=registry or line.clients.registry,
    )


def test_what_passed_the_gates_is_pushed_and_has_no_tag(
    line: Line, registry: Registry, target: Repository, gated: Gated
) -> None:
    pushed = ship(line, target, gated)
    assert registry.head(target.at(pushed.digest)) == line.built("static").digest
    assert registry.tags(target) == ()


@pytest.mark.parametrize("station", GATES_BEFORE_PUSH)
def test_a_gate_that_saw_another_manifest_stops_it(
    line: Line, registry: Registry, target: Repository, gated: Gated, station: str
) -> None:
    other = line.built("base").platforms[ARM64].digest
    with pytest.raises(GateRefusedError) as caught:
        ship(line, target, gated | {(station, ARM64): other})
    shipped = line.built("static").platforms[ARM64].digest
    words = f"what {station} looked at, {ARM64}: expected {shipped}, got {other}"
    assert [g.detail for g in caught.value.gates if g.verdict == "refused"] == [words]
    assert registry.head(target.at(line.built("static").digest)) is None


def test_a_registry_with_other_bytes_under_the_digest_is_refused(
    line: Line, stage: Stage, target: Repository, gated: Gated
) -> None:
    """The file is changed where the registry keeps it, after an earlier run has pushed it."""
    ship(line, target, gated)
    digest = line.built("static").platforms[AMD64].digest
    kept = stage.folder / "registry" / target.path / "blobs" / "sha256" / digest.hex
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(RefusedError, match=f"{digest} .*other bytes than its name says"):
        ship(line, target, gated)


def test_a_registry_that_lost_a_platform_is_not_taken_for_whole(
    line: Line, target: Repository, gated: Gated
) -> None:
    built = line.built("static")
    ship(line, target, gated)
    path = f"/v2/{target.path}/manifests/{built.platforms[ARM64].digest}"
    with before(target.host, lambda asked: (404, b"{}") if asked == path else None) as host:
        plain = Registry(plain_http=(host, line.world.layouts), env=line.world.env)
        # It takes no writes either, so what it lacks cannot be put there.
        with pytest.raises(OutsideError, match="could not be copied"):
            ship(line, Repository(f"{host}/{target.path}"), gated, plain)


@pytest.mark.parametrize("what", ["platform", "layer"])
def test_what_a_registry_lost_is_pushed_again(
    line: Line, stage: Stage, registry: Registry, target: Repository, gated: Gated, what: str
) -> None:
    """The index is still there; what it names is deleted where the registry keeps it."""
    ship(line, target, gated)
    lost = line.built("static").platforms[ARM64].digest
    if what == "layer":
        lost = Digest(json.loads(registry.manifest(target.at(lost)))["layers"][-1]["digest"])
    (stage.folder / "registry" / target.path / "blobs" / "sha256" / lost.hex).unlink()
    pushed = ship(line, target, gated)
    assert missing(target, pushed.digest, registry) == ()
