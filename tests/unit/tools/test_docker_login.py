"""The login that ``docker login`` left, in each of the forms in which it leaves it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import UsageError
from sealift.tools.docker_login import Credentials, credentials

AUTH = base64.b64encode(b"me:se:cret").decode()
ME = Credentials(user="me", secret="se:cret")


def config(folder: Path, **told: Any) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps(told))
    return {"DOCKER_CONFIG": str(folder)}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("ghcr.io", "ghcr.io"),
        ("ghcr.io", "https://ghcr.io"),
        ("ghcr.io", "https://ghcr.io/v1/"),
        ("localhost:5000", "localhost:5000"),
        ("docker.io", "https://index.docker.io/v1/"),
    ],
)
def test_a_login_is_found_by_its_host(tmp_path: Path, host: str, name: str) -> None:
    env = config(tmp_path, auths={name: {"auth": AUTH}, "elsewhere": {"auth": "eDp5"}})
    assert credentials(host, env) == ME
    assert credentials("other.example", env) is None


def test_other_forms_of_a_login(tmp_path: Path) -> None:
    env = config(
        tmp_path,
        auths={
            "plain": {"username": "me", "password": "se:cret"},
            "token": {"auth": AUTH, "identitytoken": "refresh"},
            "stored": {},
        },
        more="is not ours",
    )
    assert credentials("plain", env) == ME
    found = credentials("token", env)
    assert found is not None
    assert (found.identity_token, found.secret) == (True, "refresh")
    assert credentials("stored", env) is None


def test_no_configuration_is_no_login(tmp_path: Path) -> None:
    assert credentials("ghcr.io", {"DOCKER_CONFIG": str(tmp_path)}) is None
    assert credentials("ghcr.io", {"HOME": str(tmp_path)}) is None
    assert credentials("ghcr.io", {}) is None


def test_home_is_looked_in_when_nothing_else_is_told(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    config(tmp_path / ".docker", auths={"ghcr.io": {"auth": AUTH}})
    assert credentials("ghcr.io", {"HOME": str(tmp_path)}) == ME


@pytest.mark.parametrize("auth", ["not base64 s3cret", base64.b64encode(b"s3cret").decode(), "/w=="])
def test_a_login_that_cannot_be_read_is_an_error_that_does_not_show_it(tmp_path: Path, auth: str) -> None:
    with pytest.raises(UsageError, match="cannot be read") as caught:
        credentials("ghcr.io", config(tmp_path, auths={"ghcr.io": {"auth": auth}}))
    assert auth not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"auths": 1}', '{"auths": {"a": {"auth": 1}}}'])
def test_a_configuration_that_cannot_be_read_is_not_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match="cannot be read"):
        credentials("ghcr.io", {"DOCKER_CONFIG": str(tmp_path)})


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    found = credentials("ghcr.io", config(tmp_path, auths={"ghcr.io": {"auth": AUTH}}))
    assert "cret" not in repr(found)
