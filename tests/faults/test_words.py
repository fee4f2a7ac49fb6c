"""The tables' words do not differ from run to run, and name no place of one machine."""

from __future__ import annotations

from sealift.errors import ManyErrors, OutsideError
from sealift.process import Completed, ProgramFailedError
from tests.faults.words import few

BUILD = Completed(
    argv=("/home/somebody/docker-buildx", "build", "--file=/home/somebody/Dockerfile"),
    returncode=1,
    stdout="",
    stderr="#1 waiting for connection\n\nERROR: failed to build: Unauthenticated: unauthorized\n",
)


def test_of_a_program_its_last_line_is_told_and_not_its_command() -> None:
    said = few(ProgramFailedError(BUILD))
    assert said == "docker-buildx ended with status 1 ERROR: failed to build: Unauthenticated: unauthorized"


def test_of_several_errors_the_first_is_told_without_ports_digests_and_seconds() -> None:
    first = OutsideError(
        f"localhost:5000/a@sha256:{'0' * 64} was late: 3.2 s\n  twice", next_step="run again"
    )
    assert few(ManyErrors([first, OutsideError("another")])) == "HOST/a@sha256:… was late: N s twice"
