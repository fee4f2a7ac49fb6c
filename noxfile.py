"""The doors of sealift. Each session is a few lines; the work is in src/sealift."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

# The sessions use the locked environment that holds nox itself.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

PYTHON = ("src", "tests", "benchmarks", "noxfile.py")
SERVICE = "src/health-caretaker"
TESTS = ("lint", "types", "unit", "tools", "rehearsal", "attacks", "service", "docker")

nox.options.default_venv_backend = "none"
nox.options.sessions = list(TESTS)


def provide(*names: str) -> None:
    """Put programs of ci/tools on PATH, built where they are not here yet."""
    from sealift.provision.cache import cache_folder
    from sealift.provision.everything import provide_all

    provide_all(names, cache=cache_folder())


def pytest(session: nox.Session, *words: str) -> None:
    """Run some tests; in CI one that was skipped is a failure."""
    session.run("pytest", *words, *session.posargs, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check Python, Go, the Dockerfiles and the workflows."""
    provide("actionlint", "staticcheck")
    session.run("ruff", "check", *PYTHON, external=True)
    session.run("ruff", "format", "--check", *PYTHON, external=True)
    session.run("hadolint", "Dockerfile", "Dockerfile.distroless-base", external=True)
    session.run("actionlint", external=True)
    session.run("zizmor", "--offline", "--quiet", "--persona=auditor", ".github", external=True)
    with session.chdir(SERVICE):
        session.run("go", "vet", "./...", external=True)
        session.run("staticcheck", "./...", external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict, over source, tests and this file."""
    session.run("mypy", external=True)


@nox.session
def unit(session: nox.Session) -> None:
    """Run the tests that need no network and no programs, and the service's own."""
    pytest(session, "tests/unit", "tests/attacks", "-m", "not programs")
    with session.chdir(SERVICE):
        session.run("go", "test", "-race", "./...", external=True)


@nox.session
def tools(session: nox.Session) -> None:
    """Run the tests of the programs that do the work."""
    pytest(session, "tests/tools")


@nox.session
def rehearsal(session: nox.Session) -> None:
    """Rehearse whole releases, and look at what they leave behind."""
    pytest(session, "tests/rehearsal")


@nox.session
def attacks(session: nox.Session) -> None:
    """Give every gate a real artefact that it must refuse; let services fail, and kill releases."""
    pytest(session, "tests/attacks", "tests/faults", "tests/kills")


@nox.session
def differential(session: nox.Session) -> None:
    """Give thousands of accepted mutants of an image to podman, crane and regctl; `--count N --seed N`."""
    session.run("python", "-m", "tests.attacks.differential", *session.posargs, external=True)


@nox.session
def faults(session: nox.Session) -> None:
    """Let every service outside fail in every way; --write keeps the table, --only WORDS selects."""
    session.run("python", "-m", "tests.faults", *session.posargs, external=True)


@nox.session
def kills(session: nox.Session) -> None:
    """Kill releases and their services at many moments, and run each again; --write keeps the table."""
    session.run("python", "-m", "tests.kills", *session.posargs, external=True)


@nox.session
def service(session: nox.Session) -> None:
    """Use the running service: its page in a browser, and its API as it is described."""
    pytest(session, "tests/service")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Look for bytes that break a reader, half a minute each; `-- READER SECONDS` selects."""
    words = session.posargs
    if words[:1] in ([], ["service"]):
        with session.chdir(SERVICE):
            session.run(
                *("go", "test", "./internal/config", "-run=^$", "-fuzz=FuzzParse"),
                f"-fuzztime={words[1] if words[1:] else 30}s",
                "-fuzzminimizetime=1s",  # the default, a minute for each new path, leaves no time to look
                external=True,
            )
    if words[:1] != ["service"]:
        # Large, and for nothing else; the wheel has libFuzzer in it.
        atheris = Path("build", "fuzz", "atheris")
        if not atheris.exists():
            chosen = ("--require-hashes", "--only-binary=:all:", f"--target={atheris}")
            install = ("pip", "install", "--quiet", *chosen, "-r", "ci/requirements-fuzz.txt")
            session.run("python", "-m", *install, external=True)
        path = {"PYTHONPATH": str(atheris.absolute())}
        session.run("python", "-m", "tests.fuzz", *words, env=path, external=True)


@nox.session
def docker(session: nox.Session) -> None:
    """Type the docker commands and make targets that people know, at an engine of the tests' own."""
    pytest(session, "tests/docker")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure a release beside a script and GoReleaser; `-- chain` and others measure one figure alone."""
    session.run("python", "-m", "benchmarks.speed", *session.posargs, external=True, interrupt_timeout=60)


@nox.session
def lock(session: nox.Session) -> None:
    """Lock the Python packages again, by hash and without addresses."""
    for name in ("requirements", "requirements-test", "requirements-fuzz"):
        session.run(
            *("uv", "pip", "compile", "--quiet", "--upgrade", "--generate-hashes", "--no-header"),
            *("--no-annotate", "--no-emit-index-url", "--no-strip-extras", "--universal"),
            *("--python-version=3.11", f"ci/{name}.in", "--output-file", f"ci/{name}.txt"),
            external=True,
        )


def _verb(name: str) -> None:
    """Make a session of a verb of the command line."""

    @nox.session(name=name)
    def run(session: nox.Session) -> None:
        # An interrupted release ends its services and writes its report: nox must not kill it meanwhile.
        session.run(
            "sealift", name, *session.posargs, external=True, interrupt_timeout=60, terminate_timeout=60
        )

    run.__doc__ = f"Run sealift {name}."


for verb in (
    *("release", "identity", "plan", "base", "compile", "prove", "image", "smoke", "scan", "sbom"),
    *("push", "sign", "verify", "draft", "promote", "status", "report", "doctor", "compare"),
):
    _verb(verb)
