"""The services outside: how each one says no, and which stations ask it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sealift.commands.opening import Asked
from tests.faults.fault import Dialect, Reply

# https://grpc.io/docs/guides/status-codes/: which of them says what HTTP says with these.
_GRPC = {401: 16, 403: 7, 404: 5, 409: 6, 422: 3, 429: 8, 500: 13, 502: 14}
_OCI = {
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    409: "CONFLICT",
    422: "MANIFEST_INVALID",
    429: "TOOMANYREQUESTS",
}


def _phrase(code: int) -> str:
    return HTTPStatus(code).phrase


def _json(code: int, value: Any, *more: tuple[str, str]) -> Reply:
    headers = (("Content-Type", "application/json"), *more)
    return Reply(status=code, headers=headers, body=json.dumps(value).encode())


def registry(code: int) -> Reply:
    """Say no as https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes asks."""
    login = (("WWW-Authenticate", 'Basic realm="registry"'),) if code == HTTPStatus.UNAUTHORIZED else ()
    return _json(
        code, {"errors": [{"code": _OCI.get(code, "UNKNOWN"), "message": _phrase(code).lower()}]}, *login
    )


def fulcio(code: int) -> Reply:
    """Say no as Fulcio's gateway does."""
    return _json(code, {"code": _GRPC.get(code, 2), "message": _phrase(code).lower(), "details": []})


def builder(code: int) -> Reply:
    """Say no as a gRPC server does, in trailers alone.

    See https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses.
    """
    headers = (("grpc-status", str(_GRPC.get(code, 2))), ("grpc-message", _phrase(code).lower()))
    return Reply(status=HTTPStatus.OK, headers=(("Content-Type", "application/grpc"), *headers))


def plain(code: int) -> Reply:
    """Say no in one line, as the certificate log does."""
    return Reply(
        status=code,
        headers=(("Content-Type", "text/plain; charset=utf-8"),),
        body=f"{_phrase(code)}\n".encode(),
    )


def coded(code: int) -> Reply:
    """Say no as Rekor and the timestamp authority do."""
    return _json(code, {"code": code, "message": _phrase(code).lower()})


def github(code: int) -> Reply:
    """Say no as https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api shows."""
    docs = "https://docs.github.com/rest"
    return _json(code, {"message": _phrase(code), "documentation_url": docs, "status": str(code)})


def issuer(code: int) -> Reply:
    """Say no as the issuer of GitHub's tokens does."""
    return _json(code, {"message": _phrase(code)})


# By the name that each has as a service of a rehearsal.
DIALECTS: Mapping[str, Dialect] = {
    "registry": registry,
    "buildkitd": builder,
    "fulcio": fulcio,
    "ctlog": plain,
    "rekor1": coded,
    "rekor-server": fulcio,
    "tsa": coded,
    "issuer": issuer,
    "email-issuer": issuer,
    "github": github,
}


# The worlds that are played in: what most people have, and the other of each two that there are.
USUAL = Asked(version="1.0.0")
OTHER = Asked(version="1.0.0", signing_profile="v2", referrers_api=False)


@dataclass(frozen=True, kw_only=True)
class Outside:
    """One service outside: its name in the table, as a service, and the stations that meet it.

    ``writing`` are those that change what it holds and read it too: there a fault that hits only what is
    written comes later than one that hits every request. ``on_a_socket`` a fault is about a connection.
    """

    name: str
    service: str
    stations: tuple[str, ...]
    writing: tuple[str, ...] = ()
    on_a_socket: bool = False
    world: Asked = USUAL


OUTSIDE = (
    Outside(
        name="registry",
        service="registry",
        stations=("base", "push", "sign", "verify", "promote"),
        writing=("push", "sign", "promote"),
    ),
    Outside(name="builder", service="buildkitd", stations=("image",), on_a_socket=True),
    Outside(name="Fulcio", service="fulcio", stations=("sign",)),
    Outside(name="CT log", service="ctlog", stations=("sign",)),
    Outside(name="Rekor", service="rekor1", stations=("sign",)),
    Outside(name="timestamp authority", service="tsa", stations=("sign",)),
    Outside(name="OIDC issuer", service="issuer", stations=("sign",)),
    Outside(name="GitHub", service="github", stations=("draft", "promote"), writing=("draft", "promote")),
    Outside(name="Rekor v2", service="rekor-server", stations=("sign",), world=OTHER),
    Outside(
        name="registry without Referrers API",
        service="registry",
        stations=("sign", "verify"),
        writing=("sign",),
        world=OTHER,
    ),
)
