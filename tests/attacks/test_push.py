"""Push: what would ship is not what the gates saw, or the registry does not hold it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.errors import OutsideError, RefusedError
from sealift.line import GATES_BEFORE_PUSH, Line
from sealift.model.evidence import Pushed
from sealift.model.names import Digest, Platform, Repository
from sealift.rehearsal.world import Stage
from sealift.stations.gate import GateRefusedError
from sealift.stations.push import missing, push
from sealift.tools.registry import Registry
from tests.attacks.catalogue import Attack, Kind, attacks, each, refusals
from tests.attacks.forging import AMD64, ARM64
from tests.attacks.proxy import before

pytestmark = pytest.mark.programs

Gated = dict[tuple[str, Platform], Digest]


@pytest.fixture
def target(line: Line) -> Repository:
    """Name a new repository."""
    return line.world.repository(f"pushed/{secrets.token_hex(4)}")


@pytest.fixture
def gated(line: Line) -> Gated:
    """Read what each gate examined."""
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


def test_push_puts_image_without_tag(
    line: Line, registry: Registry, target: Repository, gated: Gated
) -> None:
    pushed = ship(line, target, gated)
    assert registry.head(target.at(pushed.digest)) == line.built("static").digest
    assert registry.tags(target) == ()


@each(
    *attacks(
        Kind.FILES,
        "push",
        {
            f"another manifest than {station} examined": (
                station,
                f"what {station} looked at, {ARM64}: expected",
            )
            for station in GATES_BEFORE_PUSH
        },
    )
)
def test_push_rejects_manifest_that_a_gate_did_not_examine(
    line: Line, registry: Registry, target: Repository, gated: Gated, attack: Attack[str]
) -> None:
    other = line.built("base").platforms[ARM64].digest
    with pytest.raises(GateRefusedError) as caught:
        ship(line, target, gated | {(attack.artefact, ARM64): other})
    attack.assert_blocked_by(caught.value)
    shipped = line.built("static").platforms[ARM64].digest
    assert refusals(caught.value) == [
        f"what {attack.artefact} looked at, {ARM64}: expected {shipped}, got {other}"
    ]
    assert registry.head(target.at(line.built("static").digest)) is None


def append_space(kept: Path) -> None:
    kept.write_bytes(kept.read_bytes() + b" ")


@each(
    Attack(
        kind=Kind.SERVICES,
        sample="a registry with other bytes under a digest that an earlier run pushed",
        artefact=append_space,
        stage="push",
        words="other bytes than its name says",
    )
)
def test_push_rejects_registry_with_other_bytes(
    line: Line, stage: Stage, target: Repository, gated: Gated, attack: Attack[Callable[[Path], None]]
) -> None:
    """The file is changed where the registry keeps it."""
    ship(line, target, gated)
    digest = line.built("static").platforms[AMD64].digest
    attack.artefact(stage.folder / "registry" / target.path / "blobs" / "sha256" / digest.hex)
    with pytest.raises(RefusedError, match=f"{digest} .*other bytes than its name says") as caught:
        ship(line, target, gated)
    attack.assert_blocked_by(caught.value)


@each(
    Attack(
        kind=Kind.SERVICES,
        sample="a registry that lost a platform and takes no writes",
        artefact=(404, b"{}"),
        stage="push",
        words="could not be copied",
        exit_code=4,
    )
)
def test_push_does_not_pass_where_registry_lost_platform(
    line: Line, target: Repository, gated: Gated, attack: Attack[tuple[int, bytes]]
) -> None:
    built = line.built("static")
    ship(line, target, gated)
    path = f"/v2/{target.path}/manifests/{built.platforms[ARM64].digest}"
    with before(target.host, lambda asked: attack.artefact if asked == path else None) as host:
        plain = Registry(plain_http=(host, line.world.layouts), env=line.world.env)
        with pytest.raises(OutsideError) as caught:
            ship(line, Repository(f"{host}/{target.path}"), gated, plain)
    attack.assert_blocked_by(caught.value)


@pytest.mark.parametrize("what", ["platform", "layer"])
def test_push_puts_again_what_registry_lost(
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
