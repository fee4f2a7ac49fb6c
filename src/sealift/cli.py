"""The command line: one verb, one file in ``sealift.commands``."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def main() -> None:
    """Build, prove, sign and ship Go services as distroless container images."""
