"""One real release of this repository, played to its end once; each attack changes one thing of it."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.commands.opening import Asked, Opened, opened
from sealift.commands.working import work
from sealift.line import STATIONS, Line
from sealift.model.evidence import Built
from sealift.model.names import Platform
from sealift.model.plan import Plan
from sealift.model.run import RunFolder
from sealift.model.world import World
from sealift.rehearsal.world import Stage
from sealift.services.ports import free_ports
from sealift.services.registry import public_registry
from sealift.services.supervised import Supervised
from sealift.tools import git
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry
from tests.attacks.catalogue import Attack, compared
from tests.attacks.forging import Change, forge
from tests.attacks.signing import Shelf
from tests.conftest import ROOT
from tests.unit.conftest import forbid_world

Forge = Callable[[str, Mapping[Platform, Change]], tuple[World, Built]]


@pytest.fixture(autouse=True)
def compare_the_attack(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that takes an attack and never compares what stopped it."""
    attack = getattr(request.node, "callspec", None) and request.node.callspec.params.get("attack")
    yield
    if isinstance(attack, Attack):
        assert id(attack) in compared, f"no error was compared with the attack {attack.sample!r}"


@pytest.fixture(autouse=True)
def no_world_without_programs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold tests that need no programs to what holds for unit tests."""
    if request.node.get_closest_marker("programs") is None:
        forbid_world(monkeypatch)


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Rehearse HEAD in a clone of its own; its services stay up as long as the attacks last."""
    clone = tmp_path_factory.mktemp("released") / "clone"
    git.clone(ROOT, git.head(ROOT), clone)
    with contextlib.ExitStack() as stack:
        with contextlib.chdir(clone):
            release = stack.enter_context(opened(Asked(version="1.0.0"), STATIONS))
        work(release, STATIONS, time.monotonic())
        yield release


@pytest.fixture(scope="session")
def line(released: Opened) -> Line:
    return released.line


@pytest.fixture(scope="session")
def stage(released: Opened) -> Stage:
    assert released.stage is not None
    return released.stage


@pytest.fixture(scope="session")
def plan(line: Line) -> Plan:
    return line.plan


@pytest.fixture(scope="session")
def world(line: Line) -> World:
    return line.world


@pytest.fixture(scope="session")
def registry(line: Line) -> Registry:
    return line.clients.registry


@pytest.fixture
def beside(line: Line, tmp_path: Path) -> RunFolder:
    """Give a run folder with the release's binaries and images, to write into in the release's stead."""
    run = RunFolder(tmp_path / "run")
    run.root.mkdir()
    for part in ("dist", "images"):
        (run.root / part).symlink_to(line.run.root / part)
    return run


@pytest.fixture(scope="session")
def forged(line: Line) -> Forge:
    """Change a released image: give a world whose layouts hold the forgery, and what was built in it."""
    numbers = itertools.count()

    def make(variant: str, changes: Mapping[Platform, Change]) -> tuple[World, Built]:
        name = f"forged/{next(numbers)}"
        source = Layout(line.run.root / line.built(variant).layout)
        built = forge(source, line.run.images / name / variant, changes)
        return replace(line.world, layouts=f"{line.world.layouts}/{name}"), built

    return make


@pytest.fixture(scope="session")
def without_referrers(
    tmp_path_factory: pytest.TempPathFactory, released: Opened
) -> Iterator[tuple[str, Path]]:
    """Start a registry without the Referrers API, as GHCR is; give its address and its folder."""
    assert "olareg" in released.provided.programs
    folder = tmp_path_factory.mktemp("without-referrers")
    (port,) = free_ports(1).release()
    with Supervised(log=folder / "supervisor.log") as services:
        services.start(
            [public_registry(folder / "images", port, log=folder / "registry.log", referrers_api=False)]
        )
        yield f"localhost:{port}", folder / "images"


@pytest.fixture(scope="session", params=["with the Referrers API", "without the Referrers API"])
def shelf(request: pytest.FixtureRequest, stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Give a registry to put small images on, and whoever signs them; once for each kind of registry."""
    host, kept = stage.world.registry, stage.folder / "registry"
    if request.param == "without the Referrers API":
        host, kept = request.getfixturevalue("without_referrers")
    return Shelf(stage=stage, host=host, kept=kept, folder=tmp_path_factory.mktemp("shelf"))
