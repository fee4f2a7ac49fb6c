"""The login that ``docker login`` left, in each of the forms in which it leaves it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import UsageError
from sealift.tools.docker_login import Credentials, absent_helper, credentials, for_programs

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


@pytest.mark.parametrize("text", ["null", " null\n", "{}"])
def test_an_empty_configuration_is_no_login(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    env = {"DOCKER_CONFIG": str(tmp_path)}
    assert (credentials("ghcr.io", env), absent_helper("ghcr.io", env)) == (None, "")


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


@pytest.mark.parametrize(
    "text",
    [
        '{"auths": null}',
        '{"auths": null, "credHelpers": null, "credsStore": null}',
        '{"auths": {"ghcr.io": null}}',
        '{"auths": {"ghcr.io": {}}}',
        '{"auths": {"ghcr.io": {"auth": null, "username": null, "password": null, "identitytoken": null}}}',
        '{"credHelpers": {"ghcr.io": null}}',
        '{"credHelpers": {"ghcr.io": ""}, "credsStore": "absent"}',
        '{"HttpHeaders": null, "plugins": {}, "currentContext": "desktop-linux", "detachKeys": null}',
    ],
)
def test_null_is_empty_as_it_is_to_docker(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert credentials("ghcr.io", {"DOCKER_CONFIG": str(tmp_path)}) is None


@pytest.mark.parametrize(
    "name",
    ["http://ghcr.io", "https://ghcr.io/v2/", "ghcr.io/v1/", "https://ghcr.io/v2/owner/", "ghcr.io/owner"],
)
def test_an_entry_with_an_address_or_a_path_is_its_hosts(tmp_path: Path, name: str) -> None:
    env = config(tmp_path, auths={"ghcr.io.example": {"auth": "eDp5"}, name: {"auth": AUTH}})
    assert credentials("ghcr.io", env) == ME
    assert credentials("ghcr.io", env, path="owner/app") == ME
    assert credentials("io", env) is None


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize(
    "name", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "https://docker.io/v2/"]
)
def test_docker_hub_has_one_login_under_several_names(tmp_path: Path, host: str, name: str) -> None:
    assert credentials(host, config(tmp_path, auths={name: {"auth": AUTH}})) == ME


def test_the_nearest_namespace_comes_first(tmp_path: Path) -> None:
    """podman writes them; another's is taken only where there is nothing better, as docker takes it."""
    other = {"auth": base64.b64encode(b"other:one").decode()}
    env = config(tmp_path, auths={"quay.io/a/b": other, "quay.io/me/app": {"auth": AUTH}, "quay.io": other})
    found = {path: credentials("quay.io", env, path=path) for path in ("me/app", "me/app/part", "me/apple")}
    assert [c.user if c else None for c in found.values()] == ["me", "me", "other"]


def test_what_is_encoded_counts_before_what_is_written_plainly(tmp_path: Path) -> None:
    both = {"auth": AUTH, "username": "old", "password": "old"}
    assert credentials("ghcr.io", config(tmp_path, auths={"ghcr.io": both})) == ME


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_a_byte_order_mark_is_named(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "config.json").write_bytes(mark + b"{}")
    with pytest.raises(UsageError, match="byte order mark"):
        credentials("ghcr.io", {"DOCKER_CONFIG": str(tmp_path)})


@pytest.mark.parametrize("told", [{"credsStore": "absent"}, {"credHelpers": {"ghcr.io": "absent"}}])
def test_a_helper_that_is_absent_stores_nothing_and_can_be_named(
    tmp_path: Path, told: dict[str, Any]
) -> None:
    env = {**config(tmp_path, **told), "PATH": str(tmp_path)}
    assert credentials("ghcr.io", env) is None
    assert absent_helper("ghcr.io", env) == "docker-credential-absent"
    assert absent_helper("ghcr.io", {**config(tmp_path), "PATH": str(tmp_path)}) == ""
    known = config(tmp_path, **told, auths={"ghcr.io": {"auth": AUTH}})
    assert credentials("ghcr.io", {**known, "PATH": str(tmp_path)}) == ME


def test_podmans_login_counts_where_docker_has_none(tmp_path: Path) -> None:
    docker, runtime = tmp_path / "docker", tmp_path / "run"
    (runtime / "containers").mkdir(parents=True)
    docker.mkdir()
    auths = {"auths": {"ghcr.io": {"auth": AUTH}}}
    (runtime / "containers" / "auth.json").write_text(json.dumps(auths))
    (tmp_path / "auth.json").write_text(json.dumps(auths))
    env = {"DOCKER_CONFIG": str(docker), "XDG_RUNTIME_DIR": str(runtime)}
    assert credentials("ghcr.io", env) == ME
    assert credentials("ghcr.io", {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}) == ME
    assert credentials("ghcr.io", {**env, "REGISTRY_AUTH_FILE": str(tmp_path / "none.json")}) is None
    (docker / "config.json").write_text("{}")
    assert credentials("ghcr.io", env) is None


def test_programs_get_what_stands_for_an_absent_helper_and_podmans_file(tmp_path: Path) -> None:
    docker, podman = tmp_path / "docker", tmp_path / "auth.json"
    docker.mkdir()
    podman.write_text(json.dumps({"auths": {"ghcr.io": {"auth": AUTH}}}))
    plain = {"DOCKER_CONFIG": str(docker), "PATH": str(tmp_path)}
    with for_programs(plain) as env:
        assert env is plain

    with for_programs({**plain, "REGISTRY_AUTH_FILE": str(podman)}) as env:
        assert env is not None
        linked = Path(env["DOCKER_CONFIG"]) / "config.json"
        assert linked.is_symlink()
        assert credentials("ghcr.io", {"DOCKER_CONFIG": env["DOCKER_CONFIG"]}) == ME
    assert not linked.exists()

    (docker / "config.json").write_text('{"credsStore": "absent", "credHelpers": {"x": "gone", "y": ""}}')
    with for_programs(plain) as env:
        assert env is not None
        assert env["DOCKER_CONFIG"] == str(docker)
        assert absent_helper("ghcr.io", env) == ""
        found = sorted(p.name for p in Path(env["PATH"].rpartition(":")[2]).iterdir())
        assert found == ["docker-credential-absent", "docker-credential-gone"]
    assert absent_helper("ghcr.io", plain) == "docker-credential-absent"
