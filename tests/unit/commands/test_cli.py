"""The command line: every verb is there, none is imported for the help, and errors have their codes."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest

from sealift import __main__, cli
from sealift.line import STATIONS


def test_every_verb_has_a_module_and_a_line_of_help() -> None:
    for name, verb in cli.VERBS.items():
        assert importlib.util.find_spec(f"sealift.commands.{verb.module}"), name
        assert verb.help.endswith("."), name


def test_every_station_is_a_verb() -> None:
    assert set(STATIONS) <= set(cli.VERBS)


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["sealift", *words])
    # This process has its own way to end.
    monkeypatch.setattr(__main__, "listen", lambda: None)
    monkeypatch.setattr(__main__, "_isolate", lambda: None)
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    return ended.value.code


def test_help_imports_no_verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in [m for m in sys.modules if m.startswith("sealift.commands.")]:
        monkeypatch.delitem(sys.modules, name)
    assert call(monkeypatch, "--help") == 0
    assert "promote" in capsys.readouterr().out
    assert not [m for m in sys.modules if m.startswith("sealift.commands.")]


def test_an_unknown_verb_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "relaese") == 2
    assert "relaese" in capsys.readouterr().err


def test_an_unknown_option_of_a_verb_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "plan", "--verion=1.2.3") == 2
    assert "--verion" in capsys.readouterr().err


def test_an_error_says_what_helps_and_has_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "schema", "nothing.json") == 2
    said = capsys.readouterr().err
    assert "there is no schema of 'nothing.json'" in said
    assert "next: one of ci/release.yaml" in said


def test_every_file_has_a_schema_that_names_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "schema") == 0
    schemas = json.loads(capsys.readouterr().out)
    settings = schemas["ci/release.yaml"]["$defs"]["Config"]["properties"]
    assert {"moving_tags", "issuer", "github", "github_latest"} <= set(settings)
    assert settings["registry"]["description"].endswith("for example ghcr.io/owner")


def test_a_schema_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "schema", "report.json") == 0
    assert '"binary_sha256"' in capsys.readouterr().out
