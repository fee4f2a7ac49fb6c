"""``sealift report``: what the newest run left behind, or another one's ``report.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sealift import console
from sealift.commands.opening import checkout
from sealift.report import collect, summary, terminal

Form = Literal["terminal", "markdown", "json"]


def command(
    path: Annotated[Path | None, typer.Argument(help="A report.json; the newest run's without it.")] = None,
    *,
    form: Annotated[Form, typer.Option("--format", help="How to show it.")] = "terminal",
) -> None:
    """Show a report again."""
    found = path or checkout() / "build" / "release" / "latest" / "report.json"
    report = collect.read(found)
    match form:
        case "json":
            console.result(collect.as_json(report).decode().rstrip())
        case "markdown":
            console.result(summary.markdown(report).rstrip())
        case "terminal":
            terminal.show(report)
