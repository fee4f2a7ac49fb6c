"""A module that does not come is the outside; code that does not compile is not."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift import process
from sealift.errors import MissingProgramError, OutsideError, RefusedError, SealiftError, UsageError
from sealift.model.names import Platform
from sealift.process import Completed, ProgramFailedError
from sealift.tools.go import MODULE_SETTINGS, GoBuildRequest, _failure, _lost, environment

MODULE = "https://proxy.example.org/example.com/m/@v/v1.0.0.zip"


def failed(stderr: str) -> ProgramFailedError:
    return ProgramFailedError(Completed(argv=("go", "build"), returncode=1, stdout="", stderr=stderr))


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (f'go: example.com/m@v1.0.0: Get "{MODULE}": dial tcp: lookup proxy.example.org: no such host', True),
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
    answered = Completed(argv=("go",), returncode=0, stdout="{}", stderr="")
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


REQUEST = GoBuildRequest(
    module=Path("svc"),
    package="./cmd/x",
    variable="main.version",
    version="1.2.3",
    platform=Platform("linux/amd64"),
    linkage="static",
    glibc=None,
    output=Path("out"),
    cache=Path("cache"),
)
Settings = Callable[..., dict[str, str]]


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Give the environment of a build on a machine whose ``go env`` has some settings."""

    def given(said: dict[str, str], module: Path = tmp_path / "svc", **variables: str) -> dict[str, str]:
        def run(argv: list[Any], *, env: dict[str, str], cwd: Path) -> Completed:
            assert argv[1:] == ["env", "-json", *MODULE_SETTINGS]
            assert (cwd, env["GOTOOLCHAIN"]) == (Path("/"), "local"), (
                "no module's go line may fetch a compiler"
            )
            assert (env["GOROOT"], env["GOEXPERIMENT"]) == ("", ""), "they may be another Go's"
            words = json.dumps({name: said.get(name, "") for name in MODULE_SETTINGS})
            return Completed(argv=("go",), returncode=0, stdout=words, stderr="")

        monkeypatch.setattr("sealift.process.run", run)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return environment(Path("go"), dataclasses.replace(REQUEST, module=module))

    return given


def test_settings_of_another_go_reach_neither_the_question_nor_the_build(settings: Settings) -> None:
    env = settings({}, GOROOT="/another/go", GOEXPERIMENT="unknown")
    assert {"GOROOT", "GOEXPERIMENT"}.isdisjoint(env)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOPROXY", "https://proxy.corp.example, https://proxy.example.org | direct"),
        (
            "GOSUMDB",
            "sum.example.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8 https://sum.corp.example/",
        ),
        ("GOPRIVATE", "*.corp.example,github.com/Owner/*"),
        ("GOAUTH", "netrc; git /home/user"),
        ("GOVCS", "private:all,public:git|hg"),
    ],
)
def test_a_setting_of_where_modules_come_from_passes_as_it_is(
    settings: Settings, name: str, value: str
) -> None:
    assert settings({name: value})[name] == value


@pytest.mark.parametrize(
    "name",
    [
        *("HOME", "NETRC", "SSH_AUTH_SOCK", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "XDG_CONFIG_HOME"),
        *("GIT_CONFIG_GLOBAL", "GIT_ALLOW_PROTOCOL", "GIT_PROXY_COMMAND"),
    ],
)
def test_what_go_and_its_git_need_to_get_there_passes(settings: Settings, name: str) -> None:
    assert settings({}, **{name: "a value, with a space"})[name] == "a value, with a space"


def test_gits_settings_in_variables_pass_too(settings: Settings) -> None:
    theirs = {"GIT_CONFIG_KEY_0": "url.ssh://git@corp/.insteadOf", "GIT_CONFIG_VALUE_0": "https://corp/"}
    env = settings({}, GIT_CONFIG_COUNT="1", **theirs)
    assert theirs.items() <= env.items()
    assert int(env["GIT_CONFIG_COUNT"]) > 1


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_passed_in_the_form_that_go_reads(settings: Settings, name: str) -> None:
    env = settings({}, **{name: "proxy.corp.example:3128", "no_proxy": "git.corp.example"})
    # ALL_PROXY fills the gaps: go reads only the other two.
    read = name.upper() if name != "ALL_PROXY" else "HTTPS_PROXY"
    assert env[read] == env[read.lower()] == "http://proxy.corp.example:3128"
    assert {"git.corp.example", "localhost"} <= set(env["NO_PROXY"].split(","))


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"])
def test_whom_to_trust_is_passed(settings: Settings, name: str) -> None:
    assert settings({}, **{name: "/corp/authorities"})[name] == "/corp/authorities"


@pytest.mark.parametrize(
    "name",
    [
        *("GOFLAGS", "GOEXPERIMENT", "GOAMD64", "GOARM", "GODEBUG", "GOFIPS140", "GOTOOLCHAIN", "GOWORK"),
        *("CGO_CFLAGS", "CGO_LDFLAGS", "CC", "CXX", "PKG_CONFIG_PATH", "GOROOT", "GOPATH", "GOENV", "GOOS"),
        *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "LD_PRELOAD", "LC_ALL", "GITHUB_TOKEN"),
    ],
)
def test_what_changes_bytes_or_another_repository_does_not_pass(settings: Settings, name: str) -> None:
    assert settings({}, **{name: "hostile"}).get(name) != "hostile"


def test_no_part_of_the_build_is_left_to_where_go_was_made(settings: Settings) -> None:
    env = settings({})
    assert (env["GOENV"], env["GOTOOLCHAIN"], env["GOAMD64"], env["CGO_ENABLED"]) == (
        "off",
        "local",
        "v1",
        "0",
    )
    assert env["GOFLAGS"], "an empty value lets one of $GOROOT/go.env count"
    assert "-mod" not in env["GOFLAGS"], "vendor/ is used where go build uses it"


def test_a_workspace_counts_when_it_is_in_the_clone(settings: Settings, tmp_path: Path) -> None:
    module = tmp_path / "clone" / "src" / "svc"
    module.mkdir(parents=True)
    (tmp_path / "clone" / ".git").mkdir()
    (tmp_path / "go.work").write_text("go 1.24\n")
    assert settings({}, module)["GOWORK"] == "off"
    (tmp_path / "clone" / "go.work").write_text("go 1.24\n")
    assert settings({}, module)["GOWORK"] == str(tmp_path / "clone" / "go.work")


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        (
            "# example.com/svc\ncmd/x/main.go:3:1: undefined: y\n",
            UsageError,
            "svc/cmd/x/main.go:3:1: undefined: y",
        ),
        ('# example.com/svc\n./main.go:3: Get "https://a.example": EOF\n', UsageError, "svc/main.go:3: Get"),
        ("go: updates to go.mod needed\n", UsageError, "go mod tidy in svc"),
        ("go: inconsistent vendoring in /clone/svc:\n", UsageError, "go mod vendor"),
        (
            "a.go:3:8: cannot find module providing package b/c: import lookup disabled by -mod=vendor\n",
            UsageError,
            "git add -f vendor",
        ),
        ("# example.com/a\nvendor/example.com/a/a.go:3:1: undefined: y\n", UsageError, "git add -f vendor"),
        ("# example.com/svc\ncmd/x/main.go:3:1: undefined: y\n", UsageError, "sealift release --dirty"),
        (
            "go: module . requires go >= 1.99.1 (running go 1.26.8; GOTOOLCHAIN=local)\n",
            UsageError,
            "needs Go 1.99.1; this is Go 1.26.8",
        ),
        ("m.go:1:8: m@v1: verifying module: checksum mismatch\n\nSECURITY ERROR\n", RefusedError, "SECURITY"),
        (
            "m.go:1:8: m@v1: verifying module: m@v1: reading https://sum.example.org/lookup/m@v1: 410 Gone\n",
            OutsideError,
            "GOPRIVATE",
        ),
        (
            "go: m@v1: git ls-remote origin: exit status 128:\n\tfatal: could not read Username for 'https://x'\n",
            OutsideError,
            "GOPRIVATE",
        ),
        (
            '# runtime/cgo\ncgo: C compiler "/x/python" not found: exec\n',
            MissingProgramError,
            "sealift doctor",
        ),
        ("# x\nwrite $WORK/b001/_pkg_.a: no space left on device\n", OutsideError, "no space left on device"),
        ("# x\n/go/pkg/tool/link: signal: killed\n", OutsideError, "signal: killed"),
    ],
)
def test_whose_fault_it_is(words: str, kind: type[SealiftError], told: str) -> None:
    error = _failure(failed(words), REQUEST)
    assert isinstance(error, kind)
    assert told in str(error)
    assert not getattr(error, "again", False)


@pytest.mark.parametrize("folder", ["2024", "3rd/service", "12", "g<1>"])
def test_an_error_names_the_file_in_a_folder_of_any_name(folder: str) -> None:
    error = _failure(
        failed("# example.com/svc\nmain.go:3:1: undefined: y\n"),
        dataclasses.replace(REQUEST, module=Path(folder)),
    )
    assert f"  | {folder}/main.go:3:1: undefined: y" in str(error)


@pytest.mark.parametrize(
    ("why", "again"),
    [
        ("fatal: unable to access 'https://git.example/m/': Could not resolve host: git.example", True),
        ("ssh: connect to host git.example port 22: Connection timed out", True),
        ("git@git.example: Permission denied (publickey).", False),
        ("remote: Repository not found.", False),
        ("fatal: repository 'https://git.example/m/' not found", False),
        ("Host key verification failed.", False),
    ],
)
def test_a_git_server_that_may_answer_later_is_asked_again(why: str, again: bool) -> None:
    error = _lost(failed(f"go: m@v1: git fetch -f origin: exit status 128:\n\t{why}\n"))
    assert error is not None
    assert error.again == again


def test_a_certificate_that_is_not_trusted_is_not_retried() -> None:
    words = f'go: m@v1: Get "{MODULE}": tls: failed to verify certificate: x509: unknown authority\n'
    error = _lost(failed(words))
    assert error is not None
    assert not error.again
