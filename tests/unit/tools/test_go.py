"""A module that does not come is the outside; code that does not compile is not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift import process
from sealift.model.names import Platform
from sealift.process import Completed, ProgramFailedError
from sealift.tools.go import GoBuildRequest, _lost, environment

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


Environment = Callable[[Path], dict[str, str]]


@pytest.fixture
def of_cache(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The environment of a dynamic build whose caches are in a folder."""
    answered = Completed(
        argv=("go",), returncode=0, stdout="https://proxy.example.com\nsum.example.com\n", stderr=""
    )
    monkeypatch.setattr(process, "run", lambda *_args, **_kwargs: answered)

    def of(cache: Path) -> dict[str, str]:
        return environment(
            Path("/go/bin/go"),
            GoBuildRequest(
                module=Path("/clone"),
                package=".",
                variable="main.version",
                version="1.2.3",
                platform=Platform("linux/arm64"),
                linkage="dynamic",
                glibc="2.36",
                output=Path("/out"),
                cache=cache,
            ),
        )

    return of


def test_the_c_compiler_is_found_by_its_name_in_every_clone(of_cache: Environment, tmp_path: Path) -> None:
    env = of_cache(tmp_path)
    compiler, *options = env["CC"].split()
    assert compiler == "zig"
    assert (Path(env["PATH"].partition(os.pathsep)[0]) / "zig").is_file()
    assert options[:3] == ["cc", "-target", "aarch64-linux-gnu.2.36"]
    # Go's build cache tells compilers apart by what CC says.
    assert re.fullmatch(r"-D__SEALIFT_ZIG=\d+\.\d+\.\d+\S*", options[3])
    assert len(options) == 4


def test_a_compiler_meets_no_odd_path(
    of_cache: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / """Ünï cödé "x"'s $HOME %20 -_x"""
    for part in ("cache", "tmp"):
        (odd / part).mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(odd / "tmp"))
    env = of_cache(odd / "cache")
    places = {name: env[name] for name in env if name.endswith(("CACHE", "_DIR")) or name == "TMPDIR"}
    assert set(places) >= {"GOCACHE", "GOMODCACHE", "TMPDIR", "ZIG_GLOBAL_CACHE_DIR", "ZIG_LIB_DIR"}
    assert [name for name, place in places.items() if not re.fullmatch(r"[\w/.-]+", place, re.ASCII)] == []
    assert Path(env["TMPDIR"]).samefile(odd / "tmp")
    assert Path(env["GOCACHE"]).parent.samefile(odd / "cache")
