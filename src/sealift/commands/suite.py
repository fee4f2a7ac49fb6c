"""``sealift suite [NAME]``: move everything to another Debian suite of distroless, in one command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from sealift import console
from sealift.commands.opening import checkout
from sealift.errors import UsageError
from sealift.model import config as configuration
from sealift.model import exceptions
from sealift.model.codec import publish
from sealift.model.exceptions import matching
from sealift.rehearsal.distroless import Suite, suite_of

# The newest symbols that a suite's libc has: what is linked against newer ones would not start there.
GLIBC = {"debian12": "2.36", "debian13": "2.41"}
SUITE_LINE = re.compile(r"^(suite:\s*)[\w-]+", re.MULTILINE)
GLIBC_LINE = re.compile(r"^(\s+glibc:\s*)\S+(.*)$", re.MULTILINE)
DEBIAN = re.compile(r"\bDebian \d+")
ARGUMENT_LINE = re.compile(r"^(ARG SUITE=)\S+", re.MULTILINE)


def command(
    name: Annotated[
        str | None, typer.Argument(help="debian12 or debian13; what it is now without it.")
    ] = None,
) -> None:
    """Say which Debian suite the images stand on, or move ci/release.yaml and the Dockerfiles to another."""
    root = checkout()
    path = root / "ci" / "release.yaml"
    config = configuration.load(path)
    if name is None:
        console.result(config.suite)
        return
    suite = suite_of(name)
    changes = {path: moved_config(path.read_text(encoding="utf-8"), suite)}
    for dockerfile in sorted({root / v.dockerfile for v in config.variants.values()}):
        changes[dockerfile] = _moved(ARGUMENT_LINE, rf"\g<1>{suite.name}", dockerfile)
    changed = [file for file, text in changes.items() if text != file.read_text(encoding="utf-8")]
    for file in changed:
        publish(file, changes[file].encode())
        console.result(f"{file.relative_to(root)}: {suite.name}")
    if not changed:
        console.say(f"everything stands on {suite.name} already")
        return
    console.say("rehearse it: sealift release --dirty; production also wants: sealift bases update")
    excused = matching(exceptions.load(root / "ci" / "exceptions.yaml"), kind="base", id=config.suite)
    if excused and config.suite != suite.name:
        console.say(f"the exception for {config.suite} in ci/exceptions.yaml has no use any more")


def moved_config(text: str, suite: Suite) -> str:
    """Put a suite and its glibc into the text of ci/release.yaml; comments stay."""

    def newest(line: re.Match[str]) -> str:
        comment = DEBIAN.sub(f"Debian {suite.number}", line[2])
        return f'{line[1]}"{GLIBC[suite.name]}"{comment}'

    return GLIBC_LINE.sub(newest, SUITE_LINE.sub(rf"\g<1>{suite.name}", text))


def _moved(line: re.Pattern[str], to: str, file: Path) -> str:
    text, count = line.subn(to, file.read_text(encoding="utf-8"))
    if not count:
        raise UsageError(
            f"{file} has no line ARG SUITE=",
            means="by hand it would be built on another suite than the release",
            next_step=f"let it begin with ARG SUITE={to.rpartition('>')[2]}",
        )
    return text
