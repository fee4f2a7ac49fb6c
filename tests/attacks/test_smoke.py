"""Smoke: services that do not do what an operator relies on, started for real by the engine."""

from __future__ import annotations

import os
from pathlib import Path

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
    return smoke(CELL, plan, built, layouts=world.layouts, base=below, engine=line.engine(), guard=line.guard)


def refusals(line: Line, plan: Plan, found: tuple[World, Built]) -> list[str]:
    """Start one that must be refused, and return the first line of each reason."""
    with pytest.raises(GateRefusedError) as caught:
        start(line, plan, found)
    return [gate.detail.splitlines()[0] for gate in caught.value.gates if gate.verdict == "refused"]


def image_of(forged: Forge, service: bytes, *more: str, **behaves: str) -> tuple[World, Built]:
    """Put the program into an image, under more names too, and tell it how to behave."""
    told = {"VERSION": "1.0.0"} | behaves

    def change(image: Image) -> Image:
        tree = LayerTar().file("health-caretaker", service, 0o755)
        for name in more:
            tree.file(name, service, 0o755)
        return image.with_program(tree).saying(Env=[f"{k}={v}" for k, v in told.items()])

    return forged("static", {AMD64: change})


def test_one_that_behaves_passes(line: Line, plan: Plan, forged: Forge, service: bytes) -> None:
    smoked = start(line, plan, image_of(forged, service))
    assert smoked.version_output == "service 1.0.0"
    assert {gate.verdict for gate in smoked.gates} == {"pass"}


def test_one_that_answers_nothing_good_is_refused(
    line: Line, plan: Plan, forged: Forge, service: bytes
) -> None:
    """Each address is asked, even after the time was used up by the first."""
    assert refusals(line, within(plan, 20), image_of(forged, service, FAILS="1")) == [
        "/healthz: expected 200, got 503",
        "/readyz: expected 200, got 503",
        "/metrics: expected 200, got 503",
    ]


def test_one_that_is_deaf_to_sigterm_is_refused(
    line: Line, plan: Plan, forged: Forge, service: bytes
) -> None:
    assert refusals(line, plan, image_of(forged, service, DEAF="1")) == [
        "SIGTERM did not end it within 2 s with status 0: 137"
    ]


def test_everything_that_is_wrong_is_named_at_once(
    line: Line, plan: Plan, forged: Forge, service: bytes
) -> None:
    image = image_of(forged, service, "bin/sh", VERSION="1.0.00", FAILS_TO_END="1")
    assert refusals(line, plan, image) == [
        "-version: expected 1.0.0, got status 0: service 1.0.00",
        "sh: expected that it cannot be run, got status 0: ",
        "SIGTERM did not end it within 2 s with status 0: 3",
    ]


def test_one_that_needs_a_writable_root_is_refused(
    line: Line, plan: Plan, forged: Forge, service: bytes
) -> None:
    """It may write to its home by its rights, but the root is read-only, as a careful operator has it."""
    found = refusals(line, within(plan, 3), image_of(forged, service, WRITES="1"))
    assert any(reason.startswith("/healthz: expected 200, got") for reason in found)


def test_the_release_itself_under_another_version_is_refused(line: Line, plan: Plan, forged: Forge) -> None:
    other = msgspec.structs.replace(plan, version=Version.parse("1.0.1"))
    (reason,) = refusals(line, other, forged("static", {AMD64: same}))
    assert reason.startswith("-version: expected 1.0.1, got status 0: health-caretaker 1.0.0")
