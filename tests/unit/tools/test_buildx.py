"""A builder that is not reached is the outside; a build that fails is a build that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.process import Completed, ProgramFailedError
from sealift.tools.buildx import BuildRequest, DockerfileError, _failure, build


def failure(*lines: str) -> OutsideError:
    text = "\n".join(lines) + "\n"
    return _failure(Completed(argv=("docker-buildx",), returncode=1, stdout="", stderr=text), "ours")


@pytest.mark.parametrize(
    "last",
    [
        "failed to connect to the builder: dial unix /x/buildkitd.sock: connect: no such file or directory",
        'rpc error: code = Unavailable desc = connection error: desc = "error reading server preface: EOF"',
        "failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
        "failed to solve: Unavailable: error reading from server: connection reset by peer",
        "listing workers for Build: failed to list workers: Unavailable: transport is closing",
        "dial tcp 127.0.0.1:1234: connect: connection refused",
        "Get http://%2Fvar%2Frun%2Fbuildkit.sock/info: EOF",
    ],
)
def test_a_builder_that_is_not_reached_is_tried_again(last: str) -> None:
    error = failure("#1 [internal] booting buildkit", f"ERROR: {last}")
    assert not isinstance(error, ProgramFailedError)
    assert (error.exit_code, error.again) == (4, True)
    assert error.happened == f"the builder ours cannot be reached: {last}"


@pytest.mark.parametrize(
    "lines",
    [
        ("failed to build: ResourceExhausted: too many requests",),
        ("failed to build: Internal: internal server error",),
        (
            "failed to build: unexpected HTTP status code received from server: 200 (OK); transport: ...",
            'data: "<!doctype html>"',
        ),
    ],
)
def test_a_builder_that_has_no_answer_this_time_is_tried_again(lines: tuple[str, ...]) -> None:
    error = failure("#1 [internal] waiting for connection", f"ERROR: {lines[0]}", *lines[1:])
    assert not isinstance(error, ProgramFailedError)
    assert (error.exit_code, error.again) == (4, True)
    assert error.happened == f"the builder ours did not answer: {lines[0]}"


@pytest.mark.parametrize(
    "status", ["Unauthenticated", "PermissionDenied", "NotFound", "AlreadyExists", "InvalidArgument"]
)
def test_a_builder_that_says_no_is_not_asked_again(status: str) -> None:
    error = failure(f"ERROR: failed to build: {status}: no")
    assert isinstance(error, ProgramFailedError)
    assert (error.exit_code, error.again) == (4, False)


@pytest.mark.parametrize(
    "lines",
    [
        ("ERROR: dial tcp: connection refused", 'data: "of a step"', "its last word"),
        ('ERROR: failed to solve: process "go build" did not complete successfully: exit code: 1',),
        ("#7 dial tcp: connection refused", "ERROR: failed to solve: exit code: 1"),
        ("ERROR: dial tcp: connection refused", "the last word of a step"),
        ("",),
    ],
)
def test_a_build_that_fails_is_not_tried_again(lines: tuple[str, ...]) -> None:
    error = failure(*lines)
    assert isinstance(error, ProgramFailedError)
    assert not error.again


def test_buildx_starts_no_git_and_adds_no_label_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str] = {}

    def run(argv: Sequence[object], *, env: Mapping[str, str], check: bool) -> Completed:
        assert argv[0] == "docker-buildx"
        assert not check
        given.update(env)
        return Completed(argv=(), returncode=0, stdout="", stderr="")

    monkeypatch.setattr("sealift.process.run", run)
    request = BuildRequest(
        builder="",
        dockerfile=tmp_path,
        context=tmp_path,
        contexts={},
        arguments={},
        platforms=[],
        labels={},
        name="",
        epoch=1,
        output=tmp_path,
    )
    build(request, env={"BUILDX_GIT_LABELS": "full", "PATH": "/bin"})
    assert given == {
        "BUILDX_GIT_CHECK_DIRTY": "false",
        "BUILDX_GIT_INFO": "false",
        "BUILDX_GIT_LABELS": "false",
        "LC_ALL": "C.UTF-8",
        "PATH": "/bin",
        "SOURCE_DATE_EPOCH": "1",
    }


@pytest.mark.parametrize(
    "words",
    [
        'failed to solve: process "/bin/sh -c go build" did not complete successfully: exit code: 1',
        "failed to build: failed to solve: dockerfile parse error on line 3: unknown instruction: FORM",
        "failed to build: failed to solve: failed to read dockerfile: open Dockerfile: no such file",
        'failed to solve: failed to compute cache key: failed to calculate checksum: "/absent": not found',
        "failed to build: failed to solve: base name (${SUITE}) should not be blank",
        'failed to build: failed to solve: failed to parse stage name "Base:": invalid reference format',
        'failed to build: failed to solve: target stage "x" could not be found',
        "failed to build: failed to solve: x: no match for platform in manifest: not found",
        "failed to build: resolve : lstat docker: no such file or directory",
    ],
)
def test_a_dockerfile_that_is_wrong_is_no_failure_of_the_world(words: str) -> None:
    error = failure("#5 [2/2] COPY absent /", f"ERROR: {words}")
    assert isinstance(error, DockerfileError)
    assert (error.exit_code, error.again) == (2, False)
    assert words in str(error)
    assert "the Dockerfile" in error.next_step


@pytest.mark.parametrize(
    "words",
    [
        "failed to build: failed to solve: write /var/lib/buildkit/x: no space left on device",
        "failed to build: Unauthenticated: no",
        "failed to solve: docker.io/docker/dockerfile:1: dial tcp: i/o timeout",
        'no builder "ours" found',
    ],
)
def test_what_is_not_the_dockerfiles_fault_is_not_called_that(words: str) -> None:
    assert not isinstance(failure(f"ERROR: {words}"), DockerfileError)


def test_a_step_that_speaks_of_the_network_is_still_the_dockerfiles() -> None:
    words = 'failed to solve: process "curl" did not complete successfully: dial tcp: connection refused'
    assert isinstance(failure(f"ERROR: {words}"), DockerfileError)
