"""Who may ask a registry: what ``docker login`` left in ``$DOCKER_CONFIG/config.json``.

    found = credentials("ghcr.io", env)

It is read as docker's client reads it; where there is no such file, ``podman login``'s is, as cosign does it.
https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import base64
import codecs
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from sealift.environment import PASS
from sealift.errors import MissingProgramError, OutsideError, UsageError
from sealift.model.codec import decode
from sealift.network import child_env
from sealift.places import plainly
from sealift.process import resolve, run

# The user's name that says that the secret is a token to be traded for access, and no password.
_TOKEN_USER = "<token>"  # noqa: S105 - a word of the protocol
_NOT_FOUND = "credentials not found"
_TIMEOUT = 60.0
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Docker Hub has one login under several names.
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user and a password; or, as ``identity_token``, what is traded for access."""

    user: str
    secret: str = field(repr=False)

    @property
    def identity_token(self) -> bool:
        """Whether the secret is a refresh token."""
        return self.user == _TOKEN_USER

    @property
    def basic(self) -> str:
        """Return the value of an Authorization header."""
        return f"Basic {base64.b64encode(f'{self.user}:{self.secret}'.encode()).decode()}"


# Everything may be null: docker is written in Go, which reads that as empty.
class _Entry(msgspec.Struct, frozen=True):
    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identitytoken: str | None = None


class _Config(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, _Entry | None] | None = None
    cred_helpers: dict[str, str | None] | None = None
    creds_store: str | None = None

    def helper(self, names: Sequence[str]) -> str:
        """Name the program that stores a registry's login, or nothing; an empty name is none, too."""
        own = self.cred_helpers or {}
        chosen = next((own[name] for name in names if name in own), self.creds_store)
        return f"docker-credential-{chosen}" if chosen else ""

    def helpers(self) -> set[str]:
        """Name every program that stores logins."""
        names = {self.creds_store, *(self.cred_helpers or {}).values()}
        return {f"docker-credential-{name}" for name in names if name}


class _Stored(msgspec.Struct, frozen=True, rename="pascal"):
    username: str | None = None
    secret: str | None = None


def credentials(host: str, env: Mapping[str, str] | None = None, *, path: str = "") -> Credentials | None:
    """Find who asks a registry for a repository, or None: a public one needs no login.

    A helper that is not on PATH stores nothing; ``absent_helper`` names it where a login is needed after all.
    Raises UsageError for a configuration that cannot be read, OutsideError for a helper that fails.
    """
    told = os.environ if env is None else env
    file = _file(told)
    config = _config(file)
    names = _names(host)
    helper = config.helper(names)
    if helper and _is_here(helper, told):
        for name in names[:2]:
            if (found := _stored(helper, name, told)) is not None:
                return found
    entry = _entry(config.auths or {}, host, path)
    return None if entry is None else _of_entry(entry, host, file)


def absent_helper(host: str, env: Mapping[str, str] | None = None) -> str:
    """Name the program that should store a registry's login and is not on PATH, or nothing."""
    told = os.environ if env is None else env
    helper = _config(_file(told)).helper(_names(host))
    return "" if not helper or _is_here(helper, told) else helper


@contextmanager
def for_programs(env: Mapping[str, str] | None = None) -> Iterator[Mapping[str, str] | None]:
    """Give the environment in which a program finds the same logins as we do; no login is copied.

    Those that are built on go-containerregistry (cosign, Trivy) fail where a helper is not on PATH, also at a
    public image; regctl knows nothing of podman's file.
    """
    told = os.environ if env is None else env
    file = _file(told)
    config = _config(file)
    absent = [p for p in config.helpers() if not _is_here(p, told)]
    if not absent and file == _docker_file(told):
        yield env
        return
    with tempfile.TemporaryDirectory(prefix="sealift-login-") as name, plainly(Path(name)) as folder:
        given = {**told, "PATH": f"{told.get('PATH', os.defpath)}:{folder}"}
        for program in absent:
            (folder / program).write_text(f"#!/bin/sh\necho '{_NOT_FOUND} in native keychain'\nexit 1\n")
            (folder / program).chmod(0o755)
        if file != _docker_file(told):
            (folder / "config.json").symlink_to(file.absolute())
            given["DOCKER_CONFIG"] = str(folder)
        yield given


def _is_here(program: str, env: Mapping[str, str]) -> bool:
    try:
        resolve(program, env)
    except MissingProgramError:
        return False
    return True


def _docker_file(env: Mapping[str, str]) -> Path:
    folder = env.get("DOCKER_CONFIG") or Path(env.get("HOME", "/nonexistent")) / ".docker"
    return Path(folder) / "config.json"


def _file(env: Mapping[str, str]) -> Path:
    """Return docker's file; where it is not there, podman's."""
    docker = _docker_file(env)
    if not docker.exists():
        if env.get("REGISTRY_AUTH_FILE"):
            return Path(env["REGISTRY_AUTH_FILE"])
        if env.get("XDG_RUNTIME_DIR"):
            return Path(env["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"
    return docker


def _config(path: Path) -> _Config:
    try:
        data = path.read_bytes()
        if mark := next((mark for mark in _MARKS if data.startswith(mark)), None):
            raise UsageError(
                f"{path} begins with a byte order mark ({mark.hex()})",
                means="docker and the tools that read its configuration expect UTF-8 without one",
                next_step=f"save {path} as UTF-8 without a byte order mark",
            )
        return _Config() if data.strip() == b"null" else decode(data, _Config)
    except FileNotFoundError:
        return _Config()
    except (OSError, msgspec.MsgspecError) as err:
        # The words of the cause name a place in the file, and no secret.
        raise UsageError(
            f"{path} cannot be read: {err}",
            means="whether there is a login for the registry cannot be told",
            next_step="docker login",
        ) from err


def _names(host: str) -> tuple[str, ...]:
    """List how a registry may be spelled there, the usual ways first."""
    if host in _DOCKER_HUB:
        return "https://index.docker.io/v1/", host, *_DOCKER_HUB
    return host, f"https://{host}", f"https://{host}/", f"https://{host}/v1/", f"http://{host}"


def _entry(auths: Mapping[str, _Entry | None], host: str, path: str) -> _Entry | None:
    """Choose an entry: podman's of a namespace, the registry's, or any with its host, as docker does."""
    whole = f"{host}/{path}"
    parts = [whole.rsplit("/", count)[0] for count in range(whole.count("/"))] if path else []
    hosts = _DOCKER_HUB if host in _DOCKER_HUB else {host}
    others = sorted(name for name in auths if _host(name) in hosts)
    name = next((name for name in (*parts, *_names(host), *others) if name in auths), "")
    return auths.get(name)


def _host(name: str) -> str:
    """Return the host of an entry's name, which may be an address or have a path."""
    try:
        return urlsplit(name).netloc if "://" in name else name.partition("/")[0]
    except ValueError:
        return ""


def _of_entry(entry: _Entry, host: str, path: Path) -> Credentials | None:
    if entry.identitytoken:
        return Credentials(user=_TOKEN_USER, secret=entry.identitytoken)
    if not entry.auth:
        return Credentials(user=entry.username, secret=entry.password or "") if entry.username else None
    try:
        user, colon, secret = base64.b64decode(entry.auth.strip(), validate=True).decode().partition(":")
    except ValueError:
        user = colon = secret = ""
    if not colon:
        # The cause would show what stands there.
        raise UsageError(
            f"the login for {host} in {path} cannot be read", next_step=f"docker login {host}"
        ) from None
    return Credentials(user=user, secret=secret.rstrip("\0"))


def _stored(program: str, name: str, env: Mapping[str, str]) -> Credentials | None:
    """Ask a credential helper; https://github.com/docker/docker-credential-helpers says how."""
    done = run(
        [program, "get"], env=child_env(program, env), stdin=name.encode(), timeout=_TIMEOUT, check=False
    )
    if done.returncode and _NOT_FOUND in done.stdout + done.stderr:
        return None
    try:
        if done.returncode == 0:
            found = decode(done.stdout, _Stored)
            return Credentials(user=found.username, secret=found.secret or "") if found.username else None
    except msgspec.MsgspecError:
        # What it said may hold the secret.
        pass
    raise OutsideError(
        f"{program} gave no login for {name}",
        means=f"it ended with status {done.returncode}; what it said may be a secret and is not shown",
        next_step=f"echo {name} | {program} get; where that works, {PASS}=NAME,NAME passes variables to it",
        again=False,
    )
