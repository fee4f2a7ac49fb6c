"""``sealift report``: what the newest run left behind, or what several jobs did, gathered."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from sealift import console
from sealift.commands.opening import Asked, ProductionOption, VersionOption, checkout, opened
from sealift.report import collect, summary, terminal

Form = Literal["terminal", "markdown", "json"]


def command(
    path: Annotated[Path | None, typer.Argument(help="A report.json; the newest run's without it.")] = None,
    *,
    version: VersionOption = None,
    production: ProductionOption = False,
    form: Annotated[Form, typer.Option("--format", help="How to show it.")] = "terminal",
) -> None:
    """Show a report; in production it is gathered from the evidence of the jobs before."""
    if production:
        report = _gathered(Asked(version=version, production=True))
    else:
        report = collect.read(path or checkout() / "build" / "release" / "latest" / "report.json")
    match form:
        case "json":
            console.result(collect.as_json(report).decode().rstrip())
        case "markdown":
            console.result(summary.markdown(report).rstrip())
        case "terminal":
            terminal.show(report)


def _gathered(asked: Asked) -> collect.Report:
    from sealift.commands.working import report

    with opened(asked, ["report"]) as release:
        done = release.line.run.evidence_file("promote", str(release.line.plan.version)).exists()
        return report(release, "released" if done else "not released", time.monotonic())
