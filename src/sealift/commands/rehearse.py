"""``sealift rehearse env | stop | reset``: the services that ``release --keep`` left, and their worlds."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from sealift import console
from sealift.commands.opening import JsonOption, checkout
from sealift.errors import ManyErrors, OutsideError, SealiftError, UsageError
from sealift.rehearsal.worlds import ENVIRONMENT, KEPT, forget, kept_worlds, worlds
from sealift.services.supervised import stop_kept

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The services that ``release --keep`` left, and the worlds that were played in.",
)

NameOption = Annotated[str | None, typer.Option("--world-name", help="Only the world of this name.")]


@app.command()
def env(*, world_name: NameOption = None, as_json: JsonOption = False) -> None:
    """Print what a stranger needs to look at the rehearsed release, as lines for a shell."""
    values = json.loads((_kept(world_name) / ENVIRONMENT).read_text(encoding="utf-8"))
    # A terminal keeps what it finds by now: the release may have been started from another.
    own, here = (path.split(os.pathsep) for path in (values["PATH"], os.environ["PATH"]))
    values["PATH"] = os.pathsep.join(dict.fromkeys([*own, *here]))
    if as_json:
        console.result(json.dumps(values, indent=1))
        return
    for name, value in values.items():
        console.result(f"export {name}={shlex.quote(value)}")


@app.command()
def stop(*, world_name: NameOption = None) -> None:
    """End the services that ``release --keep`` left up."""
    found = [w for w in kept_worlds(checkout()) if world_name in (None, w.name)]
    for world in found:
        stop_kept(world / KEPT)
        console.say(f"ended the services of {world.name}")
    if not found:
        console.say("no services are up")


@app.command()
def reset(*, world_name: NameOption = None) -> None:
    """Forget the worlds that were played in: registries, keys, logs, GitHub's releases."""
    refused: list[SealiftError] = []
    for world in [w for w in worlds(checkout()) if world_name in (None, w.name)]:
        try:
            forget(world)
            console.say(f"forgot {world.name}")
        except OutsideError as error:
            refused.append(error)
    if refused:
        raise ManyErrors(refused)


def _kept(name: str | None) -> Path:
    for world in kept_worlds(checkout()):
        if name in (None, world.name):
            return world
    raise UsageError("no rehearsal's services are up", next_step="make release ARGS=--keep")
