"""Addresses in a registry's answers: nothing goes to a host that is not meant, or in clear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from sealift.errors import SealiftError
from sealift.model.statements import PredicateType
from sealift.oci.documents import INDEX
from sealift.tools.http import Answer, Http
from sealift.tools.registry import Registry
from sealift.tools.registry_auth import Login, Scope
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.lying import Access, Lie, Shop, shop, with_header
from tests.tools.scripted import Asked, Reply

pytestmark = pytest.mark.programs

# No such host can exist: whatever is sent there ends in other words than the expected ones.
EVIL = "http://evil.invalid"
Ask = Callable[[Registry, Shop], object]


@dataclass(frozen=True)
class Sends:
    """A lie, and the question that meets it."""

    lie: Lie
    ask: Ask


def on(part: str, make: Callable[[Reply], Reply], method: str = "GET") -> Lie:
    def lie(_at: Shop, asked: Asked, reply: Reply) -> Reply:
        return make(reply) if part in asked.path and asked.method == method else reply

    return lie


def to(status: int, place: str) -> Callable[[Reply], Reply]:
    return lambda _reply: Reply(status=status, headers={"Location": place})


def page(place: str) -> Callable[[Reply], Reply]:
    return lambda reply: with_header(reply, Link=f'<{place}>; rel="next"')


def challenge(realm: str) -> Callable[[Reply], Reply]:
    offer = {"WWW-Authenticate": f'Bearer realm="{realm}",service="here"'}
    return lambda _reply: Reply(status=401, headers=offer, body=b"{}")


def read(registry: Registry, at: Shop) -> object:
    return registry.manifest(at.repository.at(at.index))


def read_blob(registry: Registry, at: Shop) -> object:
    return registry.blob(at.repository, next(iter(at.held.blobs)))  # type: ignore[arg-type]


def attach(registry: Registry, at: Shop) -> object:
    return registry.attach(at.repository, at.index, b"a bundle", PredicateType.SIGNATURE)


def leaving(sample: str, lie: Lie, ask: Ask, words: str) -> Attack[Sends]:
    return Attack(
        kind=Kind.OUTPUT, sample=sample, artefact=Sends(lie, ask), stage="push", words=words, exit_code=4
    )


TOKENS = "sends us for a token to an address that is not https"
UPLOAD = "wants the upload to be sent to"


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Callable[[Lie], Shop]]:
    with ExitStack() as stack:
        yield lambda lie: stack.enter_context(shop(tmp_path, lie))


@each(
    leaving(
        "a token realm in clear on another host", on("/manifests/", challenge(f"{EVIL}/token")), read, TOKENS
    ),
    leaving(
        "a token realm of another protocol",
        on("/manifests/", challenge("ftp://evil.invalid/t")),
        read,
        TOKENS,
    ),
    leaving(
        "an upload in clear to another host", on("/uploads/", to(202, f"{EVIL}/u"), "POST"), attach, UPLOAD
    ),
    leaving(
        "a manifest that is redirected in clear",
        on("/manifests/", to(307, f"{EVIL}/m")),
        read,
        "redirects to",
    ),
    leaving(
        "a blob that is redirected to a file",
        on("/blobs/", to(302, "file:///etc/passwd")),
        read_blob,
        "redirects to",
    ),
    leaving(
        "a list of tags that goes on elsewhere",
        on("/tags/list", page(f"{EVIL}/v2/app/tags/list?n=2")),
        lambda registry, at: registry.tags(at.repository),
        "goes on at http://evil.invalid/v2/app/tags/list",
    ),
    leaving(
        "a list of tags that goes on elsewhere by HTTPS",
        on("/tags/list", page("https://evil.invalid/v2/app/tags/list?n=2")),
        lambda registry, at: registry.tags(at.repository),
        "which is another host",
    ),
    leaving(
        "a list of signatures that goes on elsewhere",
        on("/referrers/", page("https://evil.invalid/v2/app/referrers/1?n=2")),
        lambda registry, at: registry.referrers(at.repository, at.index),
        "which is another host",
    ),
)
def test_registry_client_rejects_address_of_other_host(
    opening: Callable[[Lie], Shop], attack: Attack[Sends]
) -> None:
    at = opening(attack.artefact.lie)
    with pytest.raises(SealiftError) as caught:
        attack.artefact.ask(at.registry, at)
    attack.assert_blocked_by(caught.value)


class Recording(Http):
    """Notes what would be sent, and answers with a token."""

    def __init__(self) -> None:
        super().__init__({})
        self.sent: list[str] = []

    def ask(self, method: str, url: str, **_: object) -> Answer:
        self.sent.append(f"{method} {url.partition('?')[0]}")
        return Answer(url=url, status=200, headers={}, body=b'{"token": "t"}')


@pytest.mark.parametrize(
    ("host", "realm"),
    [
        ("docker.io", "https://auth.docker.io/token"),
        ("registry.gitlab.example", "https://gitlab.example/jwt/auth"),
        ("harbor.example", "https://harbor.example/service/token"),
        ("harbor.example:8443", "http://harbor.example:8443/service/token"),
        ("ghcr.io", "https://ghcr.io/token"),
        ("localhost:5000", "http://localhost:5001/token"),
        ("localhost:5000", "http://127.0.0.1:5001/token"),
        ("localhost:5000", "https://auth.example/token"),
    ],
)
def test_login_asks_honest_token_server(host: str, realm: str) -> None:
    http = Recording()
    login = Login(http, plain_http=("localhost:5000",), env={})
    assert login.renew(Scope(host, "app", writes=True), f'Bearer realm="{realm}"', "") == "Bearer t"
    asked = realm.replace("http:", "https:") if "harbor" in realm else realm
    assert http.sent == [f"GET {asked}"]


@pytest.mark.parametrize(
    "realm", ["http://auth.example/token", "http://10.0.0.1/token", "http://localhost/token"]
)
def test_login_rejects_token_server_without_tls(realm: str) -> None:
    http = Recording()
    login = Login(http, plain_http=(), env={})
    with pytest.raises(SealiftError, match="not https"):
        login.renew(Scope("registry.example", "app", writes=True), f'Bearer realm="{realm}"', "")
    assert http.sent == []


def test_readback_sends_no_login_as_stranger(tmp_path: Path) -> None:
    """The docker configuration has a login for this registry; who reads as a stranger does not send it."""
    with shop(tmp_path, access=Access.TOKEN) as at:
        found = at.registry.readback(at.repository, {at.index: at.index}, blobs=True)
        assert (found.problems, found.public) == ((), True)
        by_token = [a for a in at.server.asked if a.path.startswith("/token")]
        assert sorted("authorization" in a.headers for a in by_token) == [False, True]
        read = [a for a in at.server.asked if a.headers.get("authorization", "").endswith("of-a-stranger")]
        assert {INDEX} <= {a.headers["accept"] for a in read if "accept" in a.headers}
