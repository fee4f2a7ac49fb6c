"""docker and podman read an image as we do: every setting that they show, and every file that they unpack."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.process import run
from sealift.provision import debian
from sealift.provision.root import root_prefix
from sealift.services.ports import free_ports
from sealift.services.registry import layouts_registry
from sealift.services.supervised import Supervised
from sealift.stations.gate import GateRefusedError, Looks
from sealift.stations.readings import look_files, look_settings
from sealift.tools import engine as engines
from sealift.tools.layout import Layout
from tests.docker.conftest import Docker
from tests.unit.stations.imaged import planned, right_image
from tests.unit.stations.things import AMD64

pytestmark = pytest.mark.programs


@pytest.fixture
def store() -> Iterator[Path]:
    """Give a folder with a short path, as podman needs one."""
    folder = Path(tempfile.mkdtemp(prefix="podman-"))
    yield folder
    run([*(root_prefix() or ()), "rm", "-rf", "--one-file-system", folder])


def test_docker_reads_and_unpacks_image_as_planned(tmp_path: Path, store: Path, docker: Docker) -> None:
    assert docker("version").returncode == 0
    read_and_unpack(engines._docker(store / "locks"), tmp_path)


@pytest.mark.parametrize("mounts", [True, False])
def test_podman_reads_and_unpacks_image_as_planned(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, mounts: bool
) -> None:
    debian.ensure(["podman"])
    # podman reads it, and wants the file in it.
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    engine = engines._podman(store / "locks", store)
    read_and_unpack(replace(engine, mounts=engine.mounts and mounts), tmp_path)


def read_and_unpack(engine: engines.Engine, tmp_path: Path) -> None:
    right, other = (Layout(tmp_path / "layouts" / image) for image in ("right", "other"))
    right_image().write(right.root)
    right_image().saying(Labels={"run": "docker run --privileged IMAGE"}).write(other.root)
    container = f"sealift-read-{secrets.token_hex(4)}"
    with Supervised(log=tmp_path / "supervisor.log") as services:
        (port,) = free_ports(1).release()
        services.start([layouts_registry(tmp_path / "layouts", port, log=tmp_path / "registry.log")])
        image = f"localhost:{port}/right@{right.index()}"
        engine.pull(image, AMD64)
        try:
            looks = Looks("smoke", "static/linux/amd64")
            digest = right.platforms(right.index())[AMD64]
            look_settings(looks, planned(), AMD64, engine, image, (right, digest))
            engine.call("create", f"--name={container}", *engine.run_options, image)
            look_files(looks, engine, container, (right, digest))
            gates = looks.done(means="", next_step="")
            shown = {gate.detail.partition(" ")[0] for gate in gates}
            assert {"User", "Env", "Entrypoint", "Labels", "ExposedPorts", "WorkingDir"} <= shown
            assert ("Healthcheck" in shown) == (engine.name == "docker")
            # Another image's labels are others: what is compared is not compared with itself.
            looks = Looks("smoke", "static/linux/amd64")
            of_other = other.platforms(other.index())[AMD64]
            look_settings(looks, planned(), AMD64, engine, image, (other, of_other))
            with pytest.raises(GateRefusedError, match=f"Labels that {engine.name} reads: expected"):
                looks.done(means="", next_step="")
        finally:
            run(engine.removal(container), check=False)
            run(engine.image_removal(image), check=False)
