"""The same on a machine that has podman and no docker."""

from __future__ import annotations

import json
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.process import run
from sealift.provision import debian
from sealift.provision.cache import cache_folder
from sealift.provision.recipe import this_platform
from sealift.provision.root import root_prefix
from sealift.rehearsal.distroless import Suite
from sealift.tools import engine as engines
from tests.docker.conftest import Make, chosen

pytestmark = pytest.mark.programs
NAMES = ("health-caretaker:latest", "health-caretaker:debug")


@pytest.fixture
def podman(monkeypatch: pytest.MonkeyPatch) -> Iterator[engines.Engine]:
    """Podman with a store of its own, where docker does not answer."""
    debian.ensure(["podman"])
    # Below pytest's own deep folders the paths of sockets would be too long, and each run 20 s.
    folder = Path(tempfile.mkdtemp(prefix="podman-"))
    store = folder / "storage.conf"
    store.write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
    )
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(store))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    engine = engines.find(cache_folder() / "locks")
    yield engine
    for name in NAMES:
        run(engine.image_removal(name), check=False)
    run([*(root_prefix() or ()), "rm", "-rf", "--one-file-system", folder])


def test_podman_gets_the_image_and_its_health_check(suite: Suite, podman: engines.Engine, make: Make) -> None:
    assert podman.name == "podman"
    done = make("docker-debug", STAND_INS="1", VERSION="1.2.3", **chosen(suite))
    assert f"static-{suite.name}:nonroot" in done.stderr
    assert "loaded into podman" in done.stderr
    found = json.loads(podman.call("image", "inspect", NAMES[1]).stdout)[0]
    assert found["Config"]["User"] == "65532:65532"
    assert found["HealthCheck" if "HealthCheck" in found else "Healthcheck"]["Test"][1:] == [
        "/health-caretaker",
        "-healthcheck",
    ]
    once = ("run", "--rm", *engines.HARDENED, *podman.run_options)
    assert podman.call(*once, NAMES[0], "-version").stdout.startswith("health-caretaker 1.2.3 ")
    assert podman.call(*once, NAMES[0], "/health-caretaker", "-version").returncode == 0
    assert podman.call(*once, "--entrypoint=sh", NAMES[0], "-c", "true", check=False).returncode == 127
    assert podman.call(*once, "--entrypoint=sh", NAMES[1], "-c", "id -u").stdout.strip() == "65532"


def test_a_container_that_is_looked_at_gets_no_proxy_of_this_machine(
    podman: engines.Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "image.tar", "w"):
        pass
    image, name = "localhost/sealift-empty:1", f"sealift-empty-{tmp_path.parent.name}"
    podman.call("import", str(tmp_path / "image.tar"), image)
    for variable in ("HTTPS_PROXY", "http_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    try:
        podman.call("create", *podman._hardened(this_platform(), name, {}), image, "/nothing")
        (made,) = json.loads(podman.call("inspect", name).stdout)
    finally:
        run(podman.removal(name))
        run(podman.image_removal(image))
    assert made["Config"]["Env"]
    assert not [setting for setting in made["Config"]["Env"] if "proxy" in setting.lower()]


def test_what_is_not_there_is_removed_without_an_error(podman: engines.Engine) -> None:
    run(podman.removal("nothing-of-this-name"))
    run(podman.image_removal("localhost/nothing:1"))
