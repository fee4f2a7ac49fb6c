"""Smoke: services that do not do what an operator relies on, started for real by the engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift.line import Line
from sealift.model.evidence import Built, Smoked
from sealift.model.names import Version
from sealift.model.plan import Cell, Plan
from sealift.model.world import World
from sealift.process import run
from sealift.rehearsal.oci_writer import LayerTar
from sealift.stations.gate import GateRefusedError
from sealift.stations.smoke import smoke
from sealift.tools.layout import Layout
from tests.attacks.catalogue import Attack, Kind, each, refusals
from tests.attacks.conftest import Forge
from tests.attacks.forging import AMD64, Image, same

pytestmark = pytest.mark.programs

SOURCE = Path(__file__).with_name("service.go")
CELL = Cell("static", AMD64)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, line: Line) -> bytes:
    """Compile service.go, which needs nothing but Go's own library."""
    out = tmp_path_factory.mktemp("service") / "service"
    settings = {"CGO_ENABLED": "0", "GOARCH": "amd64", "GOENV": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    run([line.go, "build", "-o", out, SOURCE], env={**os.environ, **settings}, cwd=out.parent)
    return out.read_bytes()


def within(plan: Plan, seconds: float) -> Plan:
    """Give a service less time to start than the release does."""
    gates = msgspec.structs.replace(plan.config.gates, start_seconds=seconds)
    return msgspec.structs.replace(plan, config=msgspec.structs.replace(plan.config, gates=gates))


def start(line: Line, plan: Plan, found: tuple[World, Built]) -> Smoked:
    world, built = found
    below = world.bases["static"]
    return smoke(
        CELL,
        plan,
        built,
        layout=Layout(line.run.root / built.layout),
        layouts=world.layouts,
        base=below,
        engine=line.engine(),
        guard=line.guard,
    )


def blocked(attack: Attack[Any], line: Line, plan: Plan, found: tuple[World, Built]) -> list[str]:
    """Start an image that smoke must block, and return the first line of each reason."""
    with pytest.raises(GateRefusedError) as caught:
        start(line, plan, found)
    attack.assert_blocked_by(caught.value)
    return [reason.splitlines()[0] for reason in refusals(caught.value)]


def image_of(forged: Forge, service: bytes, *more: str, **behaves: str) -> tuple[World, Built]:
    """Put the program into an image, under more names too, and tell it how to behave."""
    told = {"VERSION": "1.0.0"} | behaves

    def change(image: Image) -> Image:
        tree = LayerTar().file("health-caretaker", service, 0o755)
        for name in more:
            tree.file(name, service, 0o755)
        return image.with_program(tree).saying(Env=[f"{k}={v}" for k, v in told.items()])

    return forged("static", {AMD64: change})


def test_smoke_accepts_right_service(line: Line, plan: Plan, forged: Forge, service: bytes) -> None:
    smoked = start(line, plan, image_of(forged, service))
    assert smoked.version_output == "service 1.0.0"
    assert {gate.verdict for gate in smoked.gates} == {"pass"}


@dataclass(frozen=True)
class Odd:
    """How a service behaves, what else is in its image, and all that is wrong with it."""

    behaves: dict[str, str]
    reasons: tuple[str, ...]
    more: tuple[str, ...] = ()
    seconds: float | None = None


def odd(sample: str, artefact: Odd) -> Attack[Odd]:
    return Attack(kind=Kind.MORE, sample=sample, artefact=artefact, stage="smoke", words=artefact.reasons[0])


@each(
    # Each address is asked, even after the first has used up the time.
    odd(
        "a service that answers 503 at every address",
        Odd(
            {"FAILS": "1"},
            (
                "/healthz: expected 200, got 503",
                "/readyz: expected 200, got 503",
                "/metrics: expected 200, got 503",
            ),
            seconds=20,
        ),
    ),
    odd(
        "a service that ignores SIGTERM",
        Odd({"DEAF": "1"}, ("SIGTERM did not end it within 2 s with status 0: 137",)),
    ),
    odd(
        "a service of another version with a shell, which ends with status 3",
        Odd(
            {"VERSION": "1.0.00", "FAILS_TO_END": "1"},
            (
                "-version: expected 1.0.0, got status 0: service 1.0.00",
                "sh: expected that it cannot be run, got status 0: ",
                "SIGTERM did not end it within 2 s with status 0: 3",
            ),
            more=("bin/sh",),
        ),
    ),
)
def test_smoke_rejects_service(
    line: Line, plan: Plan, forged: Forge, service: bytes, attack: Attack[Odd]
) -> None:
    wrong = attack.artefact
    planned = plan if wrong.seconds is None else within(plan, wrong.seconds)
    image = image_of(forged, service, *wrong.more, **wrong.behaves)
    assert blocked(attack, line, planned, image) == list(wrong.reasons)


@each(odd("a service that needs a writable root", Odd({"WRITES": "1"}, ("/healthz: expected 200, got",))))
def test_smoke_rejects_service_that_needs_writable_root(
    line: Line, plan: Plan, forged: Forge, service: bytes, attack: Attack[Odd]
) -> None:
    """It may write to its home by its rights, but the root is read-only, as a careful operator has it."""
    image = image_of(forged, service, **attack.artefact.behaves)
    found = blocked(attack, line, within(plan, 3), image)
    assert any(reason.startswith(attack.words) for reason in found)


@each(
    Attack(
        kind=Kind.MORE,
        sample="the released image under another version",
        artefact=Version.parse("1.0.1"),
        stage="smoke",
        words="-version: expected 1.0.1, got status 0: health-caretaker 1.0.0",
    )
)
def test_smoke_rejects_release_under_other_version(
    line: Line, plan: Plan, forged: Forge, attack: Attack[Version]
) -> None:
    other = msgspec.structs.replace(plan, version=attack.artefact)
    (reason,) = blocked(attack, line, other, forged("static", {AMD64: same}))
    assert reason.startswith(attack.words)
