"""A builder that is not reached is the outside; a build that fails is a build that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.process import Completed, ProgramFailedError
from sealift.tools.buildx import BuildRequest, _failure, build


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
        "PATH": "/bin",
        "SOURCE_DATE_EPOCH": "1",
    }
