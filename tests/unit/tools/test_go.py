"""A module that does not come is the outside; code that does not compile is not."""

from __future__ import annotations

import pytest

from sealift.process import Completed, ProgramFailedError
from sealift.tools.go import _lost

MODULE = "https://proxy.golang.org/example.com/m/@v/v1.0.0.zip"


def failed(stderr: str) -> ProgramFailedError:
    return ProgramFailedError(Completed(argv=("go", "build"), returncode=1, stdout="", stderr=stderr))


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (f'go: example.com/m@v1.0.0: Get "{MODULE}": dial tcp: lookup proxy.golang.org: no such host', True),
        (f'go: example.com/m@v1.0.0: Get "{MODULE}": unexpected EOF', True),
        (f"go: example.com/m@v1.0.0: reading {MODULE}: 503 Service Unavailable", True),
        (f"go: example.com/m@v1.0.0: reading {MODULE}: 429 Too Many Requests", True),
        (f"go: example.com/m@v1.0.0: reading {MODULE}: 404 Not Found", False),
        (f"go: example.com/m@v1.0.0: reading {MODULE}: 403 Forbidden", False),
    ],
)
def test_a_module_that_does_not_come(words: str, again: bool) -> None:
    error = _lost(failed(f"go: downloading example.com/m v1.0.0\n{words}\n"))
    assert error is not None
    assert (error.exit_code, error.again) == (4, again)
    assert MODULE in error.happened


@pytest.mark.parametrize(
    "words",
    [
        "./main.go:7:2: undefined: dial",
        "verifying example.com/m@v1.0.0: checksum mismatch\n\nSECURITY ERROR",
        "go: updates to go.mod needed",
    ],
)
def test_code_that_does_not_compile_fails_once(words: str) -> None:
    assert _lost(failed(words)) is None
