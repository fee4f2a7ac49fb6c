"""The make targets that build: each run for real, on both suites."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sealift.elf.facts import read_elf
from sealift.elf.rootfs import Rootfs
from sealift.model.names import Platform, Repository, Tag
from sealift.provision.everything import Provided
from sealift.rehearsal.distroless import Suite
from sealift.services.ports import free_ports
from sealift.services.registry import public_registry
from sealift.services.supervised import Supervised
from sealift.stations.image import SHELLS
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry
from tests.docker.conftest import (
    IMAGES,
    OTHER,
    PLATFORMS,
    TARGETS,
    Docker,
    Make,
    base_name,
    chosen,
    image_id,
)
from tests.docker.looking import (
    config_of,
    read_file,
    started,
    version_line,
    which,
)

pytestmark = pytest.mark.programs
VARIANTS = tuple(IMAGES)


@pytest.mark.parametrize("variant", VARIANTS)
def test_docker_build_makes_what_docker_build_makes_by_hand(
    variant: str, latest: dict[str, str], suite: Suite, docker: Docker, make: Make
) -> None:
    name = f"{IMAGES[variant]}:latest"
    docker("rmi", "--force", name)
    done = make(f"docker-build{TARGETS[variant]}", **chosen(suite))
    assert done.stdout.split() == [name, latest[variant]]
    assert "loaded into docker" in done.stderr
    assert image_id(docker, name) == latest[variant]


@pytest.mark.parametrize("variant", VARIANTS)
def test_docker_build_on_the_other_suite_with_stand_ins(
    variant: str, by_hand: dict[str, str], docker: Docker, make: Make, programs: Provided, tmp_path: Path
) -> None:
    name = f"{IMAGES[variant]}:latest"
    try:
        done = make(f"docker-build{TARGETS[variant]}", SUITE=OTHER.name, VERSION="9.9.9", STAND_INS="1")
        assert "in place of golang:" in done.stderr
        assert f"in place of {base_name(variant, OTHER)}" in done.stderr
        release = read_file(docker, name, "/usr/lib/os-release", tmp_path / "release")
        assert release is not None
        assert f'VERSION_ID="{OTHER.number}"'.encode() in release
        library = read_file(docker, name, f"/var/lib/dpkg/status.d/{OTHER.base[1]}", tmp_path / "library")
        assert (library is not None) == (variant == "base")
        said = docker("run", "--rm", name, "-version").stdout
        assert said == f"{version_line('9.9.9', programs)}\n"
        assert config_of(docker, name)["Healthcheck"] == config_of(docker, by_hand[variant])["Healthcheck"]
        with started(docker, name):
            pass
    finally:
        docker("tag", by_hand[variant], name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_docker_build_multi_keeps_a_layout_and_pushes_it(
    variant: str, suite: Suite, docker: Docker, make: Make, clone: Path, tmp_path: Path
) -> None:
    with Supervised(log=tmp_path / "supervisor.log") as services, free_ports(1) as held:
        (port,) = held.release()
        services.start([public_registry(tmp_path / "registry", port, log=tmp_path / "registry.log")])
        repository = Repository(f"localhost:{port}/team/{IMAGES[variant]}")
        done = make(
            f"docker-build-multi{TARGETS[variant]}",
            PUSH=f"{repository}:1.2.3",
            STAND_INS="1",
            VERSION="1.2.3",
            **chosen(suite),
        )
        layout = Layout(clone / "build" / "docker" / variant)
        digest = layout.index()
        manifests = layout.platforms(digest)
        assert sorted(manifests) == sorted(PLATFORMS)
        assert done.stdout.split() == [f"build/docker/{variant}", digest, f"{repository}:1.2.3", digest]
        assert Registry(plain_http=(repository.host,)).head(repository.tagged(Tag("1.2.3"))) == digest
        for platform, manifest in manifests.items():
            rootfs = Rootfs.from_layout(layout, manifest)
            assert f'VERSION_ID="{suite.number}"'.encode() in rootfs.read("/usr/lib/os-release")
            _look(rootfs, platform, variant, tmp_path / platform.arch)
            image = repository.at(digest)
            docker("pull", "--quiet", f"--platform={platform}", image)
            said = docker("run", "--rm", f"--platform={platform}", image, "-version").stdout
            assert said.startswith("health-caretaker 1.2.3 ")
            assert said.rstrip().endswith(f"{platform})")
            docker("rmi", "--force", image)


def _look(rootfs: Rootfs, platform: Platform, variant: str, copy: Path) -> None:
    copy.write_bytes(rootfs.read("/health-caretaker"))
    facts = read_elf(copy)
    assert facts.arch == platform.arch
    assert facts.needed == (() if variant == "static" else ("libc.so.6",))
    assert not [e.path for e in rootfs.entries() if e.path.rsplit("/", 1)[-1] in SHELLS]


def test_an_engine_without_the_image_says_what_makes_it(
    docker: Docker, clone: Path, by_hand: dict[str, str]
) -> None:
    docker("rmi", "--force", "health-caretaker:latest")
    try:
        done = subprocess.run(
            [which("sealift"), "docker", "run"], cwd=clone, capture_output=True, text=True, check=False
        )
    finally:
        docker("tag", by_hand["static"], "health-caretaker:latest")
    assert done.returncode == 2
    assert "docker has no health-caretaker:latest" in done.stderr
    assert "next: make docker-build" in done.stderr
