"""Build the two Dockerfiles outside the line: with the engine's BuildKit, or with one of our own.

Ours is asked where an image that a Dockerfile begins with cannot be reached, and stands in for it by name;
and for several platforms, which an engine's own store often cannot hold.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sealift import process
from sealift.console import say
from sealift.errors import MissingProgramError, OutsideError, UsageError
from sealift.model.config import Config, Variant
from sealift.model.names import Digest, Platform, Repository, Tag
from sealift.network import PROXY_VARIABLES, child_env
from sealift.places import csv_field
from sealift.provision.cache import cache_folder
from sealift.provision.everything import Provided, provide_all
from sealift.provision.recipe import this_platform
from sealift.provision.root import root_prefix
from sealift.rehearsal import bases, golang
from sealift.rehearsal.builder import builder_slot
from sealift.rehearsal.distroless import suite_of
from sealift.services.buildkit import create_builder
from sealift.services.supervised import Supervised
from sealift.threads import threads_of
from sealift.tools import buildx, git, regctl
from sealift.tools.engine import Engine
from sealift.tools.http import Http
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry

T = TypeVar("T")

FROM = re.compile(r"^FROM\s+(?:--\S+\s+)*(\S+)", re.MULTILINE)
GOLANG = "golang:"
DISTROLESS = re.compile(r"gcr\.io/distroless/(?P<kind>static|base)-(?P<suite>\w+):nonroot")
DOCKER_HUB = "registry-1.docker.io"
# A registry that answers without credentials, and one that asks for them first.
THERE = frozenset({200, 401})
PROBE_SECONDS = 4


@dataclass(frozen=True, kw_only=True)
class Build:
    """One variant to build by its Dockerfile. With ``stand_ins`` no registry is asked for anything."""

    root: Path
    config: Config
    variant: str
    version: str
    stand_ins: bool

    @property
    def settings(self) -> Variant:
        """What ci/release.yaml says of the variant."""
        return self.config.variants[self.variant]

    @property
    def dockerfile(self) -> Path:
        """Where its steps are."""
        return self.root / self.settings.dockerfile

    @property
    def image(self) -> str:
        """The name that an engine knows it by."""
        return f"{self.settings.repository}:latest"

    @property
    def layout(self) -> Path:
        """Where a build for several platforms is kept."""
        return self.root / "build" / "docker" / self.variant

    @property
    def arguments(self) -> dict[str, str]:
        """What the Dockerfile may be told."""
        return {"SUITE": self.config.suite, "VERSION": self.version}

    @property
    def begins_with(self) -> tuple[str, ...]:
        """The images that the Dockerfile's stages begin with."""
        named = FROM.findall(self.dockerfile.read_text(encoding="utf-8"))
        return tuple(name.replace("$SUITE", self.config.suite) for name in named)


def interruptible(work: Callable[[], T]) -> T:
    """Do some work in a thread, whose programs are ended when this process is told to end."""
    with threads_of(1) as pool:
        return pool.submit(work).result()


def into_engine(build: Build, engine: Engine) -> None:
    """Build for this machine and give the image to the engine under its name."""
    absent = _absent(build)
    elsewhere = [name for name in absent if build.stand_ins or engine.image_id(name) is None]
    if engine.name == "docker" and not elsewhere:
        engine_build(engine, build.dockerfile, build.root, build.image, build.arguments)
        return
    build.layout.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build.layout.parent, prefix=".loading-") as folder:
        layout, archive = Path(folder) / "layout", Path(folder) / "image.tar"
        _into_layout(build, [this_platform()], absent, layout)
        load(engine, layout, build.image, archive)


def into_layout(build: Build, platforms: Sequence[Platform]) -> Digest:
    """Build for several platforms, as one index, into the variant's layout folder."""
    build.layout.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build.layout.parent, prefix=".building-") as folder:
        unfinished = Path(folder) / "layout"
        _into_layout(build, platforms, _absent(build), unfinished)
        digest = Layout(unfinished).index()
        shutil.rmtree(build.layout, ignore_errors=True)
        unfinished.rename(build.layout)
    return digest


def push(layout: Path, digest: Digest, repository: Repository, tag: Tag) -> None:
    """Push a layout's index to a registry, with the credentials of ``docker login``."""
    local = repository.host.partition(":")[0] in ("localhost", "127.0.0.1")
    registry = Registry(plain_http=(repository.host,) if local else ())
    registry.copy(f"ocidir://{layout}@{digest}", repository.tagged(tag))


def engine_build(
    engine: Engine, dockerfile: Path, context: Path, image: str, arguments: Mapping[str, str]
) -> None:
    """Let the engine's own builder make an image for the engine's own store."""
    options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    where = ("--tag", image, *options, str(context))
    say(f"building {image} with {engine.name}; a minute or two the first time")
    if engine.name == "podman":
        # OCI's own form of a configuration has no place for HEALTHCHECK. podman takes a list of files.
        files = f"--file={csv_field(str(dockerfile))}"
        engine.call("build", "--format=docker", files, *where, timeout=3600)
        return
    # buildx of our own: Debian's docker comes without, and then builds as in 2013.
    provide_all(["docker-buildx"], cache=cache_folder())
    process.run(
        [
            *("docker-buildx", "build", "--builder=default", "--load", "--provenance=false"),
            *("--file", str(dockerfile), *where),
        ],
        env=child_env("docker-buildx") | buildx.WITHOUT_GIT,
        timeout=3600,
    )


def load(engine: Engine, layout: Path, image: str, archive: Path) -> None:
    """Give an engine this machine's image of a layout; no engine of today's Debian reads layouts itself."""
    source = f"ocidir://{layout}@{Layout(layout).index()}"
    named = ("--platform", str(this_platform()), "--name", image)
    regctl.regctl("image", "export", *named, source, str(archive), check=True)
    engine.load(archive)


def _into_layout(build: Build, platforms: Sequence[Platform], absent: Sequence[str], output: Path) -> None:
    # A golang image of another platform is run, by qemu, for cgo alone.
    foreign = build.settings.linkage == "dynamic" and any(p != this_platform() for p in platforms)
    programs = ("buildkitd", "docker-buildx", "regctl")
    _can_run_buildkit()
    provided = provide_all(programs, cache=cache_folder(), debian_programs=["runc"], emulate=foreign)
    with tempfile.TemporaryDirectory(prefix="sealift-docker-") as folder:
        contexts = _stand_ins(absent, platforms, provided, Path(folder) / "bases")
        with _own_builder(Path(folder)) as (builder, env):
            say(f"building {build.image} for {', '.join(platforms)}; a minute or two the first time")
            buildx.build(
                buildx.BuildRequest(
                    builder=builder,
                    dockerfile=build.dockerfile,
                    context=build.root,
                    contexts=contexts,
                    # A step that fetches leaves as we do: it has this machine's network.
                    arguments={**build.arguments, **dict.fromkeys((*PROXY_VARIABLES, "NO_PROXY"))},
                    platforms=platforms,
                    labels={},
                    name=build.image,
                    epoch=git.commit_time(build.root, git.head(build.root)),
                    output=output,
                ),
                env=env,
            )


@contextmanager
def _own_builder(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Start BuildKit; give buildx' name for it, and an environment in which buildx knows that name.

    What buildx remembers of the user's own builders is left alone.
    """
    env = child_env("docker-buildx") | {"BUILDX_CONFIG": str(folder / "buildx")}
    with builder_slot(cache_folder()) as slot, Supervised(log=folder / "supervisor.log") as services:
        services.start([slot.service(log=folder / "buildkitd.log")])
        create_builder(slot.socket, slot.name, env=env)
        yield slot.name, env


def _can_run_buildkit() -> None:
    if sys.platform != "linux":
        raise UsageError(
            "BuildKit runs on Linux",
            means="this machine would build with its engine's own",
            next_step="docker buildx create --use, then"
            " docker buildx build --platform linux/amd64,linux/arm64 -t NAME .",
        )
    if root_prefix() is None:
        raise MissingProgramError(
            "BuildKit needs root's rights, to mount and to make namespaces",
            means="this user has none, and sudo asks for a password",
            next_step="sudo -v, then the same again",
        )


def _absent(build: Build) -> tuple[str, ...]:
    """Name the images that no registry gives here, or all of them where stand-ins are asked for."""
    return tuple(name for name in build.begins_with if build.stand_ins or not reachable(name))


def reachable(image: str) -> bool:
    """Ask the registry of an image whether it is there at all."""
    first, slash, _ = image.partition("/")
    host = first if slash and set(first) & set(".:") else DOCKER_HUB
    http = Http(connect=PROBE_SECONDS, read=PROBE_SECONDS)
    try:
        return http.ask("GET", f"https://{host}/v2/", headers={}).status in THERE
    except OutsideError:
        return False


def _stand_ins(
    absent: Sequence[str], platforms: Sequence[Platform], provided: Provided, folder: Path
) -> dict[str, buildx.OciLayout]:
    """Make an equal of each image that cannot be had, as a named build context."""
    contexts = {}
    for name in absent:
        if found := DISTROLESS.fullmatch(name):
            made = bases.assemble_all(
                suite_of(found["suite"]).name, platforms, cache_folder(), folder / found["suite"]
            )
            base = next(b for kind, b in made.items() if kind == found["kind"])
            contexts[name] = buildx.OciLayout(folder=base.layout, digest=base.digest)
            words = "an equal, assembled from Debian's signed packages"
        elif name.startswith(GOLANG):
            image = golang.assemble(provided.go, platforms, cache=cache_folder())
            contexts[name] = buildx.OciLayout(folder=image.layout, digest=image.digest)
            words = image.words
        else:
            raise UsageError(
                f"{name} cannot be reached, and nothing here can stand in for it",
                next_step="try again where its registry answers",
            )
        say(f"in place of {name}: {words}")
    return contexts
