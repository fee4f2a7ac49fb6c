"""Who may ask a registry: what ``docker login`` left in ``$DOCKER_CONFIG/config.json``.

    found = credentials("ghcr.io", env)

https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sealift.errors import OutsideError, UsageError
from sealift.model.codec import decode
from sealift.process import run

# The user's name that says that the secret is a token to be traded for access, and no password.
_TOKEN_USER = "<token>"  # noqa: S105 - a word of the protocol
_NOT_FOUND = "credentials not found"
_TIMEOUT = 60.0


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


class _Entry(msgspec.Struct, frozen=True):
    auth: str = ""
    username: str = ""
    password: str = ""
    identitytoken: str = ""


class _Config(msgspec.Struct, frozen=True, rename="camel"):
    auths: dict[str, _Entry] = {}
    cred_helpers: dict[str, str] = {}
    creds_store: str = ""


class _Stored(msgspec.Struct, frozen=True, rename="pascal"):
    username: str
    secret: str


def credentials(host: str, env: Mapping[str, str] | None = None) -> Credentials | None:
    """Find who asks a registry, or None: everybody may ask a public one.

    Raises UsageError for a configuration that cannot be read, OutsideError for a helper that fails.
    """
    told = os.environ if env is None else env
    path = _folder(told) / "config.json"
    config = _config(path)
    names = _names(host)
    helper = next((config.cred_helpers[n] for n in names if n in config.cred_helpers), config.creds_store)
    if helper:
        for name in names[:2]:
            if (found := _stored(helper, name, told)) is not None:
                return found
    entry = next((config.auths[name] for name in names if name in config.auths), None)
    return None if entry is None else _of_entry(entry, host, path)


def _folder(env: Mapping[str, str]) -> Path:
    if env.get("DOCKER_CONFIG"):
        return Path(env["DOCKER_CONFIG"])
    return Path(env.get("HOME", "/nonexistent")) / ".docker"


def _config(path: Path) -> _Config:
    try:
        return decode(path.read_bytes(), _Config)
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
    if host == "docker.io":
        return "https://index.docker.io/v1/", host
    return host, f"https://{host}", f"https://{host}/", f"https://{host}/v1/", f"http://{host}"


def _of_entry(entry: _Entry, host: str, path: Path) -> Credentials | None:
    if entry.identitytoken:
        return Credentials(user=_TOKEN_USER, secret=entry.identitytoken)
    if entry.username:
        return Credentials(user=entry.username, secret=entry.password)
    if not entry.auth:
        return None
    try:
        user, colon, secret = base64.b64decode(entry.auth, validate=True).decode().partition(":")
    except ValueError:
        user = colon = secret = ""
    if not colon:
        # The cause would show what stands there.
        raise UsageError(
            f"the login for {host} in {path} cannot be read", next_step=f"docker login {host}"
        ) from None
    return Credentials(user=user, secret=secret.rstrip("\0"))


def _stored(helper: str, name: str, env: Mapping[str, str]) -> Credentials | None:
    """Ask a credential helper; https://github.com/docker/docker-credential-helpers says how."""
    program = f"docker-credential-{helper}"
    done = run([program, "get"], env=env, stdin=name.encode(), timeout=_TIMEOUT, check=False)
    if done.returncode and _NOT_FOUND in done.stdout + done.stderr:
        return None
    try:
        if done.returncode == 0:
            found = decode(done.stdout, _Stored)
            return Credentials(user=found.username, secret=found.secret)
    except msgspec.MsgspecError:
        # What it said may hold the secret.
        pass
    raise OutsideError(
        f"{program} gave no login for {name}",
        means=f"it ended with status {done.returncode}; what it said may be a secret and is not shown",
        next_step=f"echo {name} | {program} get",
        again=False,
    )
