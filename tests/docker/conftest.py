"""One engine for all tests here, a clean clone of this tree, and stand-ins for what cannot be fetched."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sealift.commands import docker_build as building
from sealift.model import config as configuration
from sealift.model.names import Platform
from sealift.process import run
from sealift.provision.cache import cache_folder
from sealift.provision.everything import Provided, provide_all
from sealift.provision.recipe import this_platform
from sealift.rehearsal import bases, golang
from sealift.rehearsal.distroless import SUITES, Suite, suite_of
from sealift.tools import git
from sealift.tools.layout import Layout
from tests.docker.dockerd import dockerd

ROOT = Path(__file__).parents[2]
PLATFORMS = (Platform("linux/amd64"), Platform("linux/arm64"))
IMAGES = {"static": "health-caretaker", "base": "health-caretaker-base"}
# The tests hold whichever suite this tree stands on, and the one that it could be moved to.
SUITE = suite_of(configuration.load(ROOT / "ci" / "release.yaml").suite)
OTHER = next(suite for name, suite in SUITES.items() if name != SUITE.name)
DOCKERFILES = {"static": "Dockerfile", "base": "Dockerfile.distroless-base"}
# What the names of the make targets end with.
TARGETS = {"static": "", "base": "-base"}

Docker = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class StandIns:
    """Equals of the images that the Dockerfiles begin with: folders, and named build contexts."""

    layouts: dict[str, Path]

    def contexts(self, variant: str, suite: Suite) -> list[str]:
        names = (golang_name(), base_name(variant, suite))
        return [f"--build-context={n}=oci-layout://{self.reference(n)}" for n in names]

    def reference(self, name: str) -> str:
        layout = self.layouts[name]
        return f"{layout}@{Layout(layout).index()}"


def golang_name() -> str:
    named = building.FROM.findall((ROOT / "Dockerfile").read_text())
    return str(next(n for n in named if n.startswith(building.GOLANG)))


def base_name(kind: str, suite: Suite) -> str:
    return f"gcr.io/distroless/{kind}-{suite.name}:nonroot"


@pytest.fixture(scope="session")
def programs() -> Provided:
    names = ("buildkitd", "docker-buildx", "regctl", "olareg", "trivy")
    return provide_all(names, cache=cache_folder(), debian_programs=["runc", "file"], emulate=True)


@pytest.fixture(scope="session")
def stand_ins(programs: Provided, tmp_path_factory: pytest.TempPathFactory) -> StandIns:
    folder = tmp_path_factory.mktemp("bases")
    layouts = {
        base_name(kind, suite): base.layout
        for suite in (SUITE, OTHER)
        for kind, base in bases.assemble_all(
            suite.name, PLATFORMS, cache_folder(), folder / suite.name
        ).items()
    }
    compiler = golang.assemble(programs.go, PLATFORMS, cache=cache_folder())
    return StandIns({golang_name(): compiler.layout, **layouts})


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean clone of this commit, with what is changed and not committed yet."""
    target = tmp_path_factory.mktemp("checkout") / "sealift"
    git.clone(ROOT, git.head(ROOT), target, overlay=git.changed(ROOT))
    return target


@pytest.fixture(scope="session")
def docker(programs: Provided) -> Iterator[Docker]:
    """The client of the test's own engine; other programs find that engine too."""
    # A socket's path may be 107 characters long: pytest's own folders are deep.
    folder = Path(tempfile.mkdtemp(prefix="dockerd-"))
    plugin = folder / "client" / "cli-plugins" / "docker-buildx"
    plugin.parent.mkdir(parents=True)
    plugin.symlink_to(programs.programs["docker-buildx"].path)
    with pytest.MonkeyPatch.context() as patch, dockerd(folder) as host:
        patch.setenv("DOCKER_HOST", host)
        patch.setenv("DOCKER_CONFIG", str(plugin.parents[1]))
        # Debian's client of 2020 asks for it; today's do it anyway.
        patch.setenv("DOCKER_BUILDKIT", "1")
        yield call


def call(*words: str, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["docker", *words], cwd=cwd, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="session")
def upstream(docker: Docker, stand_ins: StandIns, tmp_path_factory: pytest.TempPathFactory) -> Docker:
    """The engine with the images that the Dockerfiles begin with, under their own names."""
    folder = tmp_path_factory.mktemp("archives")
    for number, name in enumerate(stand_ins.layouts):
        archive = folder / f"{number}.tar"
        source = f"ocidir://{stand_ins.reference(name)}"
        run(["regctl", "image", "export", "--platform", this_platform(), "--name", name, source, archive])
        docker("load", "--input", str(archive))
        archive.unlink()
    return docker


@pytest.fixture(scope="session", autouse=True)
def typed_at_a_desk() -> Iterator[None]:
    """Have make do what it does for a person: ``make test`` would hand on its own words and ARGS."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARGS", "SUITE", "VERSION", "STAND_INS", "PUSH"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def make(clone: Path, programs: Provided) -> Make:
    """Run make in the clone, with this environment's programs."""
    assert programs.folder.is_dir()

    def call_make(target: str, *, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            make_command(target, **variables), cwd=clone, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return call_make


def make_command(target: str, **variables: str) -> list[str]:
    """What is typed, but for the virtual environment: the one that runs the tests is taken."""
    found = Path(sys.executable).parent
    words = [f"{name}={value}" for name, value in variables.items()]
    return [str(shutil.which("make")), "--old-file=.venv/.locked", f"BIN={found}", target, *words]


@pytest.fixture(scope="session")
def by_hand(upstream: Docker, clone: Path) -> dict[str, str]:
    """Both images as people build them, by the identity that the engine gave them."""
    upstream("build", "-t", "health-caretaker:latest", ".", cwd=clone)
    upstream(
        *("build", "-f", "Dockerfile.distroless-base", "-t", "health-caretaker-base:latest", "."), cwd=clone
    )
    for name in IMAGES.values():
        # It stays, whatever a test does to the usual name.
        upstream("tag", f"{name}:latest", f"{name}:by-hand")
    return {variant: image_id(upstream, f"{name}:latest") for variant, name in IMAGES.items()}


@dataclass(frozen=True)
class Made:
    """One image of a variant, on one suite, in the engine."""

    variant: str
    suite: Suite
    name: str
    id: str


@pytest.fixture(scope="session")
def on_other_suite(upstream: Docker, clone: Path) -> dict[str, str]:
    """Both images as people build them on the other suite, named by it."""
    made = {}
    for variant, name in IMAGES.items():
        tag = f"{name}:{OTHER.name}"
        words = ("-f", DOCKERFILES[variant], "--build-arg", f"SUITE={OTHER.name}")
        upstream("build", *words, "-t", tag, ".", cwd=clone)
        made[variant] = image_id(upstream, tag)
    return made


@pytest.fixture(params=[SUITE, OTHER], ids=lambda suite: suite.name)
def suite(request: pytest.FixtureRequest) -> Suite:
    """Each suite."""
    found: Suite = request.param
    return found


def chosen(suite: Suite) -> dict[str, str]:
    """What is typed after a make target to have it on a suite."""
    return {} if suite is SUITE else {"SUITE": suite.name}


@pytest.fixture
def latest(suite: Suite, docker: Docker, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Both images on each suite, under the names that people know; afterwards these are the usual ones'."""
    usual: dict[str, str] = request.getfixturevalue("by_hand")
    images = usual if suite is SUITE else request.getfixturevalue("on_other_suite")
    _name(docker, images)
    yield images
    _name(docker, usual)


def _name(docker: Docker, images: dict[str, str]) -> None:
    for variant, image in images.items():
        docker("tag", image, f"{IMAGES[variant]}:latest")


@pytest.fixture(params=[(v, s) for s in (SUITE, OTHER) for v in IMAGES], ids=lambda p: f"{p[0]}-{p[1].name}")
def made(request: pytest.FixtureRequest) -> Made:
    """Each image: both variants, on both suites."""
    variant, suite = request.param
    tag, fixture = ("latest", "by_hand") if suite is SUITE else (suite.name, "on_other_suite")
    images: dict[str, str] = request.getfixturevalue(fixture)
    return Made(variant, suite, f"{IMAGES[variant]}:{tag}", images[variant])


def image_id(docker: Docker, image: str) -> str:
    return docker("image", "inspect", "--format={{.Id}}", image).stdout.strip()
