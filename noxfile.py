"""The doors of sealift. Each session is a few lines; the work is in src/sealift."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

# The sessions use the locked environment that holds nox itself.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "unit"]


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff over everything that is Python."""
    session.run("ruff", "check", "src", "tests", "noxfile.py", external=True)
    session.run("ruff", "format", "--check", "src", "tests", "noxfile.py", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, over source, tests and this file."""
    session.run("mypy", external=True)


@nox.session
def unit(session: nox.Session) -> None:
    """Run the tests that need no network and no programs."""
    session.run("pytest", "tests/unit", *session.posargs, external=True)
