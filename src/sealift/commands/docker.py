"""``sealift docker build | run | scan | debug | check``: what the make targets of the same names do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sealift import console
from sealift.commands import docker_build as building
from sealift.commands import docker_look as looking
from sealift.commands.opening import checkout
from sealift.errors import MissingProgramError, RefusedError, UsageError
from sealift.model import config as configuration
from sealift.model.names import Repository, Tag
from sealift.places import csv_field, shell_word
from sealift.provision.cache import cache_folder
from sealift.rehearsal.distroless import suite_of
from sealift.tools import engine as engines
from sealift.tools.engine import Engine

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The service's images on this machine, by their Dockerfiles. None of this releases anything.",
)

VariantArgument = Annotated[str, typer.Argument(help="A variant of ci/release.yaml: static or base.")]
DEV = "dev"
LOOPBACK = "127.0.0.1"
WEB, METRICS = 8080, 9091


@app.command()
def build(
    variant: VariantArgument = "static",
    *,
    suite: Annotated[str | None, typer.Option(help="Another Debian suite than ci/release.yaml's.")] = None,
    version: Annotated[str, typer.Option(help="What the program calls itself.")] = DEV,
    multi: Annotated[
        bool, typer.Option("--multi", help="Every platform, as one index in build/docker/VARIANT.")
    ] = False,
    push: Annotated[str | None, typer.Option(help="With --multi: push it, as registry/name:tag.")] = None,
    stand_ins: Annotated[
        bool, typer.Option("--stand-ins", help="Ask no registry for images: stand-ins for all of them.")
    ] = False,
    else_layout: Annotated[
        bool, typer.Option("--else-layout", help="Where no engine answers, do what --multi does.")
    ] = False,
) -> None:
    """Build for this machine and load the image into its engine; or for every platform, as an OCI layout."""
    wanted = _wanted(variant, suite=suite, version=version, stand_ins=stand_ins)
    if multi:
        _build_layout(wanted, push)
    elif push:
        raise UsageError("--push is for --multi: what is pushed has every platform", next_step="--multi")
    else:
        _build_and_load(wanted, else_layout=else_layout)


@app.command()
def run(
    variant: VariantArgument = "static",
    *,
    web_port: Annotated[int, typer.Option(help="Where page and API answer.")] = WEB,
    metrics_port: Annotated[int, typer.Option(help="Where the metrics answer.")] = METRICS,
    address: Annotated[str, typer.Option(help="The address of both; 0.0.0.0 is every one.")] = LOOPBACK,
    config: Annotated[
        Path | None, typer.Option(help="A config.json; its folder is mounted, so that changes count.")
    ] = None,
) -> None:
    """Run the image in the foreground: read-only, no capabilities, both ports open. Ctrl-C ends it."""
    wanted = _wanted(variant)
    engine = _engine_with(wanted)
    ports = (f"--publish={address}:{web_port}:{WEB}", f"--publish={address}:{metrics_port}:{METRICS}")
    command = engine.foreground(wanted.image, [*ports, *(_mounted(config) if config else ())])
    console.say(f"{wanted.image}: http://{address}:{web_port}/ and http://{address}:{metrics_port}/metrics")
    if config is None:
        console.say("nothing is watched: --config FILE says what is (with make: ARGS='--config FILE')")
    console.say("Ctrl-C ends it")
    # The engine's client takes this process' place: Ctrl-C and the exit status are its own.
    os.execve(command[0], command, engine.env)  # noqa: S606 - no shell is what is wanted


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def scan(
    context: typer.Context,
    variant: VariantArgument = "static",
    *,
    stand_ins: Annotated[bool, typer.Option("--stand-ins", help="The advisories of ci/ alone.")] = False,
) -> None:
    """Look for known weaknesses with the built Trivy, which gets every option that is not known here."""
    wanted = _wanted(variant)
    engine = _engine_with(wanted)
    console.result(looking.scan(wanted.root, engine, wanted.image, context.args, stand_ins=stand_ins))


@app.command()
def debug(variant: VariantArgument = "static") -> None:
    """Put a busybox shell beside the same image, as NAME:debug. It is never released."""
    wanted = _wanted(variant)
    engine = _engine_with(wanted)
    made = f"{wanted.settings.repository}:debug"
    looking.debug(engine, wanted, made)
    console.result(f"{made} {engine.image_id(made)}")
    console.say(f"only a shell:              {engine.name} run --rm -it --entrypoint sh {made}")
    console.say(f"the service, and a shell:  {engine.name} run --rm --name debug {made}")
    console.say(f"                           {engine.name} exec -it debug sh")


@app.command()
def check(variant: VariantArgument = "static") -> None:
    """Show what file and ldd say of the image's binary; a static variant's that needs anything is refused."""
    wanted = _wanted(variant)
    binary = _binary(wanted)
    static, words = looking.linkage(binary)
    console.result(words)
    if wanted.settings.linkage == "static" and not static:
        raise RefusedError(
            f"{binary} is not static",
            means="distroless static has no loader and no library: it would not start there",
            next_step=f"sealift explain {shell_word(binary)}",
        )


def _wanted(
    variant: str, *, suite: str | None = None, version: str = DEV, stand_ins: bool = False
) -> building.Build:
    root = checkout()
    config = configuration.load(root / "ci" / "release.yaml")
    if variant not in config.variants:
        raise UsageError(f"there is no variant {variant!r}", next_step=f"one of {', '.join(config.variants)}")
    if suite is not None:
        config = msgspec.structs.replace(config, suite=suite_of(suite).name)
    return building.Build(root=root, config=config, variant=variant, version=version, stand_ins=stand_ins)


def _build_layout(wanted: building.Build, push: str | None) -> None:
    target = _target(push) if push else None
    platforms = wanted.config.platforms
    digest = building.interruptible(lambda: building.into_layout(wanted, platforms))
    console.result(f"{wanted.layout.relative_to(wanted.root)} {digest}")
    if target:
        building.push(wanted.layout, digest, *target)
        console.result(f"{target[0].tagged(target[1])} {digest}")


def _build_and_load(wanted: building.Build, *, else_layout: bool) -> None:
    try:
        engine = _engine(wanted)
    except MissingProgramError as error:
        if not else_layout:
            raise
        console.say(f"{error}\n  this command does the latter now")
        _build_layout(wanted, None)
        return
    building.interruptible(lambda: building.into_engine(wanted, engine))
    console.result(f"{wanted.image} {engine.image_id(wanted.image)}")
    console.say(f"loaded into {engine.name}; to start it: {_make('docker-run', wanted.variant)}")


def _engine(wanted: building.Build) -> Engine:
    """Find the engine; where none answers, the error names what does without."""
    try:
        return engines.find(cache_folder() / "locks")
    except MissingProgramError as error:
        raise MissingProgramError(
            error.happened,
            means=error.means,
            next_step=f"{error.next_step}\n  or, without one: {_make('docker-build-multi', wanted.variant)}"
            f" keeps the image as an OCI layout in {wanted.layout.relative_to(wanted.root)}",
        ) from error


def _engine_with(wanted: building.Build) -> Engine:
    """Find the engine, which must hold the image."""
    engine = _engine(wanted)
    if engine.image_id(wanted.image) is None:
        raise UsageError(
            f"{engine.name} has no {wanted.image}", next_step=_make("docker-build", wanted.variant)
        )
    return engine


def _binary(wanted: building.Build) -> Path:
    """Take the binary out of the engine's image; without an engine, out of the layout that is kept here."""
    binary = wanted.layout.with_name(f"{wanted.config.service}.{wanted.variant}")
    binary.parent.mkdir(parents=True, exist_ok=True)
    inside = f"/{wanted.config.service}"
    try:
        _engine_with(wanted).take_file(wanted.image, inside, binary)
    except MissingProgramError:
        if not wanted.layout.exists():
            raise
        console.say(f"no engine answers; the binary is that of {wanted.layout.relative_to(wanted.root)}")
        looking.take_from_layout(wanted.layout, inside, binary)
    return binary


def _target(text: str) -> tuple[Repository, Tag]:
    name, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        raise UsageError(f"{text!r} names no tag", next_step="write it as registry/name:tag")
    return Repository(name), Tag(tag)


def _mounted(config: Path) -> tuple[str, ...]:
    """Mount the folder: of a file that is replaced, a mount of its own would keep the old one."""
    if not config.is_file():
        raise UsageError(f"{config} is not there", next_step="leave --config out, and nothing is watched")
    where = config.resolve()
    if ":" in str(where.parent):
        source = csv_field(f"source={where.parent}")
        mount = f"--mount=type=bind,{source},target=/config,readonly"
    else:
        # podman before 4.4 reads no quotes in --mount.
        mount = f"--volume={where.parent}:/config:ro"
    return mount, f"--env=CONFIG_FILE=/config/{where.name}"


def _make(target: str, variant: str) -> str:
    """Name a make target as the Makefile does."""
    if variant == "static":
        return f"make {target}"
    return f"make {target}-{variant}"
