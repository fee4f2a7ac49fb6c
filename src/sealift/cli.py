"""The command line: one verb, one file in ``sealift.commands``, imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import typer


@dataclass(frozen=True)
class Verb:
    """What a verb does, in a line, and where it is."""

    help: str
    module: str


_STATION = "station"
VERBS: Mapping[str, Verb] = {
    "release": Verb("The whole line: rehearsed here, or for real with --production in Actions.", "release"),
    "plan": Verb("What this checkout would release.", "plan"),
    "identity": Verb("As whom this job would sign, before anything is built.", "identity"),
    "base": Verb("The bases: signed by their makers, still supported.", _STATION),
    "compile": Verb("One binary for each variant and platform.", _STATION),
    "prove": Verb("Each binary can start on its base and is what was planned.", _STATION),
    "image": Verb("One reproducible multi-platform image for each variant.", _STATION),
    "smoke": Verb("Each platform's image starts, answers, and stops.", _STATION),
    "scan": Verb("Known weaknesses, by Trivy and govulncheck.", _STATION),
    "sbom": Verb("What is in each image, as SPDX and CycloneDX.", _STATION),
    "push": Verb("The images go to the public registry, by digest.", _STATION),
    "sign": Verb("Signatures and attestations, attached to digests.", _STATION),
    "verify": Verb("Everything again as a stranger would, by two clients.", _STATION),
    "draft": Verb("The GitHub release as a draft, its assets compared.", _STATION),
    "promote": Verb("Tags and the published release.", _STATION),
    "status": Verb("How a version stands outside, and the one command that repairs it.", "status"),
    "report": Verb("What the newest run left behind.", "report"),
    "rehearse": Verb("The services and worlds of rehearsals: env, stop, reset.", "rehearse"),
    "doctor": Verb("Each program, where it came from, and its hash against the lock.", "doctor"),
    "explain": Verb("Why a binary would not start on a base.", "explain"),
    "compare": Verb("The images beside the same service on fuller systems, measured.", "compare"),
    "bases": Verb("The base images that production builds on: update.", "bases"),
    "suite": Verb("The Debian suite of the bases; with a name, move everything to it.", "suite"),
    "docker": Verb("The images on this machine, by hand: build, run, scan, debug, check.", "docker"),
    "schema": Verb("The JSON schema of each file that is read or written.", "schema"),
}


app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.callback()
def main() -> None:
    """Build, prove, sign and ship Go services as distroless container images."""


def _register(name: str, verb: Verb) -> None:
    """Register a verb by its line of help; its module is imported when it is asked for."""

    @app.command(name, help=verb.help, context_settings=_PASSED_ON)
    def run(context: typer.Context) -> None:
        _load(name)(context.args, prog_name=f"sealift {name}")


def _load(name: str) -> typer.Typer:
    module = importlib.import_module(f"sealift.commands.{VERBS[name].module}")
    if hasattr(module, "app"):
        return cast("typer.Typer", module.app)
    only = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    only.command(help=VERBS[name].help)(module.command)
    return only


for _name, _verb in VERBS.items():
    _register(_name, _verb)
