"""Addresses that a registry tells: nothing that is sent to one leaves TLS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from sealift.errors import OutsideError
from sealift.model.names import Digest, Repository
from sealift.tools import regctl, registry_http
from sealift.tools.address import leaves_tls, origin, secured
from sealift.tools.http import Answer, Sink
from sealift.tools.registry import Registry
from sealift.tools.registry_auth import Login, Scope
from sealift.tools.registry_http import Api
from sealift.tools.registry_objects import Objects

ASKED = "https://registry.example:8443/v2/app/blobs/uploads/"


@pytest.mark.parametrize(
    ("told", "used"),
    [
        ("http://registry.example/u?_state=a%2Fb", "https://registry.example:8443/u?_state=a%2Fb"),
        ("http://registry.example:80/u", "https://registry.example:8443/u"),
        ("http://registry.example:443/u", "https://registry.example:8443/u"),
        ("http://registry.example:8443/u", "https://registry.example:8443/u"),
        ("http://REGISTRY.example/u", "https://registry.example:8443/u"),
        ("http://registry.example:5000/u", "http://registry.example:5000/u"),
        ("http://elsewhere.example/u", "http://elsewhere.example/u"),
        ("https://elsewhere.example/u", "https://elsewhere.example/u"),
        ("https://registry.example/u", "https://registry.example/u"),
    ],
)
def test_an_address_of_a_proxy_that_ends_tls_is_asked_by_https(told: str, used: str) -> None:
    assert secured(told, ASKED) == used
    assert leaves_tls(used, ASKED) == used.startswith("http:")


def test_what_is_asked_without_tls_by_consent_stays_so() -> None:
    assert secured("http://localhost:5000/u", "http://localhost:5000/v2/") == "http://localhost:5000/u"
    assert not leaves_tls("http://127.0.0.1:5001/u", "http://localhost:5000/v2/")
    assert not leaves_tls("http://registry.lan/u", "http://registry.lan:5000/v2/")
    assert not leaves_tls("https://storage.example/u", "http://localhost:5000/v2/")
    assert leaves_tls("http://storage.example/u", "http://localhost:5000/v2/")
    assert leaves_tls("ftp://storage.local/u", "http://localhost:5000/v2/")


def test_a_port_that_is_implied_is_the_one_that_is_written() -> None:
    assert origin("https://Registry.example/") == origin("https://registry.example:443/v2/")
    assert origin("https://registry.example/") != origin("http://registry.example/")


@dataclass
class Line:
    """What would be sent, and the answers: an upload begins at ``location``."""

    location: str | None
    sent: list[tuple[str, str, str]] = field(default_factory=list)

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str],
        body: bytes | None = None,
        sink: Sink | None = None,
    ) -> Answer:
        assert sink is None
        self.sent.append((method, url, headers.get("Authorization", "")))
        assert url.startswith("https://"), "nothing is sent in clear"
        if method == "POST":
            told = {} if self.location is None else {"Location": self.location}
            return Answer(url=url, status=202, headers=told, body=b"")
        return Answer(url=url, status=404 if method == "HEAD" else 201, headers={}, body=body or b"")


REPOSITORY, SCOPE = (
    Repository("registry.example:8443/app"),
    Scope("registry.example:8443", "app", writes=True),
)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    line = Line(None)
    monkeypatch.setattr(registry_http, "Http", lambda _env, **_: line)
    return line


def upload(line: Line, location: str | None) -> tuple[str, str]:
    """Put a blob with a login, and return the address and the login of the upload itself."""
    line.location = location
    api = Api(plain_http=(), env={})
    api._login._known[SCOPE] = "Bearer secret"
    Objects(api).put_blob(REPOSITORY, b"blob", "application/octet-stream")
    (put,) = [(url, login) for method, url, login in line.sent if method == "PUT"]
    return put


DIGEST = f"digest=sha256%3A{Digest.of(b'blob').hex}"


@pytest.mark.parametrize(
    ("location", "url", "login"),
    [
        ("/v2/u/1?_state=a%20b+c", f"https://registry.example:8443/v2/u/1?_state=a%20b+c&{DIGEST}", True),
        ("1", f"https://registry.example:8443/v2/app/blobs/uploads/1?{DIGEST}", True),
        ("?go=on", f"https://registry.example:8443/v2/app/blobs/uploads/?go=on&{DIGEST}", True),
        ("//registry.example:8443/u", f"https://registry.example:8443/u?{DIGEST}", True),
        ("http://registry.example/u?x", f"https://registry.example:8443/u?x&{DIGEST}", True),
        ("https://storage.example/u?sig=1", f"https://storage.example/u?sig=1&{DIGEST}", False),
        ("https://registry.example/u", f"https://registry.example/u?{DIGEST}", False),
    ],
)
def test_an_upload_goes_where_it_is_told_with_the_login_for_the_registry_alone(
    line: Line, location: str, url: str, login: bool
) -> None:
    assert upload(line, location) == (url, "Bearer secret" if login else "")


@pytest.mark.parametrize(
    "location", ["http://storage.example/u?sig=1", "http://registry.example:5000/u", "ftp://x/u"]
)
def test_an_upload_that_would_leave_tls_is_refused(line: Line, location: str) -> None:
    with pytest.raises(OutsideError, match="wants the upload to be sent to") as caught:
        upload(line, location)
    assert not caught.value.again
    assert "sig=1" not in str(caught.value)
    assert not [sent for sent in line.sent if sent[0] == "PUT"]


@pytest.mark.parametrize("location", ["http://registry.example/u", "http://storage.example/u"])
def test_nothing_is_copied_by_a_program_that_would_follow_an_upload_out_of_tls(
    line: Line, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.location = location
    copied: list[str] = []
    monkeypatch.setattr(regctl, "copy", lambda source, target, **_: copied.append(f"{source} {target}"))
    target = REPOSITORY.at(Digest.of(b"image"))
    with pytest.raises(OutsideError, match="wants the upload to be sent to") as caught:
        Registry(env={}).copy("ocidir:///images@" + Digest.of(b"image"), target)
    assert not caught.value.again
    assert "X-Forwarded-Proto" in caught.value.next_step
    assert copied == []


@pytest.mark.parametrize("location", [None, ""])
def test_an_upload_without_an_address_may_have_one_the_next_time(line: Line, location: str | None) -> None:
    with pytest.raises(OutsideError, match="did not say where to") as caught:
        upload(line, location)
    assert caught.value.again


@pytest.mark.parametrize("realm", ["http://registry.example/token", "https://registry.example:8443/token"])
def test_a_token_is_fetched_by_https_where_the_registry_is_asked_that_way(realm: str) -> None:
    asked: list[Any] = []

    class Tokens:
        def ask(self, _method: str, url: str, **_more: object) -> Answer:
            asked.append(url)
            return Answer(url=url, status=200, headers={}, body=b'{"token": "t"}')

    login = Login(Tokens(), plain_http=(), env={})  # type: ignore[arg-type]
    assert login.renew(SCOPE, f'Bearer realm="{realm}"', "") == "Bearer t"
    (url,) = asked
    assert url.startswith("https://registry.example:8443/token?")


def test_a_token_that_was_forbidden_is_replaced_unless_another_thread_has_done_so() -> None:
    login = Login(None, plain_http=(), env={})  # type: ignore[arg-type]
    login._known[SCOPE] = "Bearer new"
    login.forget(SCOPE, "Bearer old")
    assert login.header(SCOPE) == "Bearer new"
    login.forget(SCOPE, "Bearer new")
    assert login.header(SCOPE) == ""
