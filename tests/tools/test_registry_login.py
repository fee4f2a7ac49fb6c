"""Who is let in, and who gets to see the login: token servers, storage and helpers on loopback."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from sealift.errors import OutsideError
from sealift.model.names import Digest, Repository, Tag
from sealift.oci.documents import MANIFEST
from sealift.stations.push import missing
from sealift.tools.registry import Registry
from tests.tools.scripted import Asked, Reply, Script, Server, serving, told

pytestmark = pytest.mark.programs

BODY = b'{"schemaVersion":2}'
DIGEST = Digest.of(BODY)
HERE = Reply(headers={"Content-Type": MANIFEST, "Docker-Content-Digest": DIGEST}, body=BODY)
LOGIN = "Basic " + base64.b64encode(b"me:password").decode()


@dataclass
class TokenServer:
    """Gives tokens for scopes: everybody may pull, who logs in may push. ``offer`` is what its 401 says."""

    realm: str = ""
    offer: str = 'Bearer realm="{realm}",service="the registry",scope="{scope}"'
    needs_login: bool = False
    given: dict[str, str] = field(default_factory=dict)
    status: int = 200

    def token(self, asked: Asked) -> Reply:
        known = asked.headers.get("authorization") == LOGIN or b"refresh_token=refresh" in asked.body
        query = parse_qs(asked.body.decode() or urlsplit(asked.path).query)
        if self.status != 200 or query["service"] != ["the registry"] or (self.needs_login and not known):
            return Reply(status=self.status if self.status != 200 else 401)
        token = secrets.token_hex(8)
        wants_more = any(scope.endswith(":pull,push") for scope in query["scope"])
        self.given[token] = "pull,push" if known and wants_more else "pull"
        return told({"token": token, "expires_in": 60})

    def guard(self, script: Script, path: str = "app") -> Script:
        """Stand before a registry's repository, and let in who has a token for what is asked."""

        def ask(asked: Asked) -> Reply:
            actions = "pull" if asked.method in ("GET", "HEAD") else "pull,push"
            token = asked.headers.get("authorization", "").removeprefix("Bearer ")
            if actions == self.given.get(token) or (actions == "pull" and token in self.given):
                return script(asked)
            offer = self.offer.format(realm=self.realm, scope=f"repository:{path}:{actions}")
            return Reply(status=401, headers={"WWW-Authenticate": offer}, body=b"{}")

        return ask


@dataclass
class Street:
    """A registry behind its token server, and a folder for docker's settings."""

    tokens: TokenServer
    at_tokens: Server
    at_registry: Server
    folder: Path

    @property
    def registry(self) -> Registry:
        env = {"DOCKER_CONFIG": str(self.folder), "PATH": f"{self.folder}:/usr/bin:/bin"}
        return Registry(plain_http=(self.at_registry.host,), env=env)

    @property
    def repository(self) -> Repository:
        return Repository(f"{self.at_registry.host}/app")

    def settle(self, **config: object) -> None:
        (self.folder / "config.json").write_text(json.dumps(config))

    def log_in(self) -> None:
        self.settle(auths={self.at_registry.host: {"auth": LOGIN.removeprefix("Basic ")}})


def registry_script(asked: Asked) -> Reply:
    return Reply(status=201) if asked.method == "PUT" else HERE


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    tokens = TokenServer()
    with ExitStack() as stack:
        at_tokens = stack.enter_context(serving(tokens.token))
        tokens.realm = f"http://{at_tokens.host}/token?from=here"
        at_registry = stack.enter_context(serving(tokens.guard(registry_script)))
        yield Street(tokens, at_tokens, at_registry, tmp_path)


def test_everybody_gets_a_token_to_pull_and_keeps_it(street: Street) -> None:
    registry = street.registry
    for _ in range(3):
        assert registry.manifest(street.repository.at(DIGEST)) == BODY
    assert len(street.at_tokens.asked) == 1
    assert [a.headers.get("authorization", "")[:7] for a in street.at_registry.asked] == [
        "",
        *["Bearer "] * 3,
    ]
    assert parse_qs(urlsplit(street.at_tokens.asked[0].path).query) == {
        "from": ["here"],
        "service": ["the registry"],
        "scope": ["repository:app:pull"],
    }


def test_reading_and_writing_have_a_token_each(street: Street) -> None:
    street.log_in()
    street.registry.put_tag(street.repository, Tag("1"), DIGEST)
    assert [a.headers["authorization"] for a in street.at_tokens.asked] == [LOGIN, LOGIN]
    assert sorted(street.tokens.given.values()) == ["pull", "pull,push"]


def test_a_token_that_has_ended_is_replaced_once(street: Street) -> None:
    registry = street.registry
    registry.manifest(street.repository.at(DIGEST))
    street.tokens.given.clear()
    registry.manifest(street.repository.at(DIGEST))
    assert len(street.at_tokens.asked) == 2


def test_who_may_not_write_is_told_so_and_does_not_ask_for_ever(street: Street) -> None:
    with pytest.raises(OutsideError, match="answered 401") as caught:
        street.registry.put_tag(street.repository, Tag("1"), DIGEST)
    assert not caught.value.again
    assert len([w for w in street.at_registry.words if w.startswith("PUT")]) == 2
    assert not any(token in str(caught.value) for token in street.tokens.given)


def test_threads_that_are_refused_together_ask_for_one_token(street: Street) -> None:
    registry = street.registry
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: registry.manifest(street.repository.at(DIGEST)), range(24)))
    assert found == [BODY] * 24
    assert len(street.at_tokens.asked) == 1


@pytest.mark.parametrize(
    ("status", "again"), [(401, False), (403, False), (404, False), (429, True), (500, True)]
)
def test_no_token_is_no_answer_about_the_image(street: Street, status: int, again: bool) -> None:
    """Least of all that the image is not there, where the token server does not know it."""
    street.tokens.status = status
    with pytest.raises(
        OutsideError, match=f"no token for {street.repository} came: .* answered {status}"
    ) as got:
        street.registry.head(street.repository.at(DIGEST))
    assert got.value.again is again


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 1}'])
def test_an_answer_without_a_token_is_none(
    street: Street, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(street.tokens, "given", {})
    with serving(lambda _: Reply(body=body)) as odd:
        street.tokens.realm = f"http://{odd.host}/token"
        with pytest.raises(OutsideError, match="answered without one"):
            street.registry.head(street.repository.at(DIGEST))


def test_a_login_is_not_shown_where_everybody_listens(street: Street) -> None:
    """The registry speaks plain HTTP by consent; as if it did not, its word about another host is refused."""
    from sealift.tools.http import Http
    from sealift.tools.registry_auth import Login, Scope

    street.log_in()
    env = {"DOCKER_CONFIG": str(street.folder)}
    login = Login(Http({}), plain_http=(), env=env)
    offer = f'Bearer realm="{street.tokens.realm}"'
    with pytest.raises(OutsideError, match="not https") as caught:
        login.renew(Scope(street.at_registry.host, "app", writes=False), offer, "")
    assert (caught.value.again, street.at_tokens.asked) == (False, [])


def test_user_and_password_where_a_registry_wants_them(street: Street) -> None:
    def basic(asked: Asked) -> Reply:
        if asked.headers.get("authorization") == LOGIN:
            return HERE
        return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="here"'})

    with serving(basic) as server:
        settled = Street(street.tokens, street.at_tokens, server, street.folder)
        settled.log_in()
        registry = settled.registry
        for _ in range(2):
            assert registry.head(settled.repository.at(DIGEST)) == DIGEST
        assert len(server.asked) == 3
        settled.settle()
        with pytest.raises(OutsideError, match="answered 401"):
            settled.registry.head(settled.repository.at(DIGEST))
        wrong = base64.b64encode(b"me:wrong").decode()
        settled.settle(auths={server.host: {"auth": wrong}})
        registry, before = settled.registry, len(server.asked)
        for _ in range(2):
            with pytest.raises(OutsideError, match="answered 401"):
                registry.head(settled.repository.at(DIGEST))
        # With nothing, with the login, and again with the login: what was refused is not shown twice.
        assert len(server.asked) - before == 3


def test_an_identity_token_is_traded(street: Street) -> None:
    street.tokens.needs_login = True
    street.settle(auths={street.at_registry.host: {"identitytoken": "refresh"}})
    assert street.registry.head(street.repository.at(DIGEST)) == DIGEST
    (asked,) = street.at_tokens.asked
    assert (asked.method, parse_qs(asked.body.decode())["grant_type"]) == ("POST", ["refresh_token"])


HELPER = """#!/bin/sh
read host
echo "$1 $host" >> {folder}/asked
[ "$host" = {host} ] || {{ echo "credentials not found in native keychain"; exit 1; }}
echo '{{"ServerURL": "'$host'", "Username": "me", "Secret": "password"}}'
"""


def helper(street: Street, text: str) -> None:
    path = street.folder / "docker-credential-ours"
    path.write_text(text.format(folder=street.folder, host=street.at_registry.host))
    path.chmod(0o755)


@pytest.mark.parametrize("store", ["credHelpers", "credsStore"])
def test_a_login_comes_from_a_helper(street: Street, store: str) -> None:
    helper(street, HELPER)
    street.settle(**{store: "ours" if store == "credsStore" else {street.at_registry.host: "ours"}})
    street.tokens.needs_login = True
    assert street.registry.head(street.repository.at(DIGEST)) == DIGEST
    assert (street.folder / "asked").read_text() == f"get {street.at_registry.host}\n"


def test_a_helper_that_knows_nobody_leaves_what_the_file_says(street: Street) -> None:
    helper(street, HELPER.replace("{host} ]", "nobody ]"))
    auth = {"auth": LOGIN.removeprefix("Basic ")}
    street.settle(credsStore="ours", auths={street.at_registry.host: auth})
    street.tokens.needs_login = True
    assert street.registry.head(street.repository.at(DIGEST)) == DIGEST


@pytest.mark.parametrize("text", ["#!/bin/sh\necho s3cret; exit 1\n", "#!/bin/sh\necho s3cret\n"])
def test_a_helper_that_fails_is_an_error_that_repeats_nothing(street: Street, text: str) -> None:
    helper(street, text)
    street.settle(credsStore="ours")
    with pytest.raises(OutsideError, match="docker-credential-ours gave no login") as caught:
        street.registry.head(street.repository.at(DIGEST))
    assert "s3cret" not in str(caught.value)
    assert not caught.value.again


def test_a_helper_may_say_more_on_the_other_stream(street: Street) -> None:
    helper(street, HELPER.replace("read host", "echo WARNING: s3cret >&2; read host"))
    street.settle(credsStore="ours")
    street.tokens.needs_login = True
    assert street.registry.head(street.repository.at(DIGEST)) == DIGEST


@pytest.mark.parametrize(
    "said",
    [
        '{{"ServerURL": "", "Username": "", "Secret": ""}}',
        '{{"ServerURL": "x", "Username": null, "Secret": null, "More": 1}}',
    ],
)
def test_a_helper_with_an_empty_login_gives_none(street: Street, said: str) -> None:
    helper(street, f"#!/bin/sh\necho '{said}'\n")
    street.settle(credsStore="ours")
    assert street.registry.head(street.repository.at(DIGEST)) == DIGEST


@pytest.mark.parametrize("store", ["credHelpers", "credsStore"])
def test_a_helper_that_is_absent_is_named_only_where_a_login_is_needed(street: Street, store: str) -> None:
    name = "absent" if store == "credsStore" else {street.at_registry.host: "absent"}
    street.settle(**{store: name})
    assert street.registry.head(street.repository.at(DIGEST)) == DIGEST
    street.tokens.needs_login = True
    with pytest.raises(OutsideError, match="docker-credential-absent") as caught:
        street.registry.head(street.repository.at(DIGEST))
    assert not caught.value.again


def test_a_repository_that_its_first_push_makes_is_read_afterwards(street: Street) -> None:
    """Before it exists it is forbidden also to who has a token, and that token stays good for nothing."""
    exists = False

    def script(asked: Asked) -> Reply:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        early = token in useless
        if not exists:
            useless.add(token)
        return HERE if exists and not early else Reply(status=403, body=b'{"errors":[{"code":"DENIED"}]}')

    useless: set[str] = set()
    with serving(street.tokens.guard(script)) as server:
        settled = Street(street.tokens, street.at_tokens, server, street.folder)
        settled.log_in()
        registry = settled.registry
        for _ in range(2):
            with pytest.raises(OutsideError, match="does not exist yet"):
                missing(settled.repository, DIGEST, registry)
        exists = True
        assert missing(settled.repository, DIGEST, registry) == ()


def moved(place: str) -> Script:
    return lambda _: Reply(status=307, headers={"Location": place})


def test_storage_on_another_host_does_not_see_the_login(street: Street) -> None:
    with serving(lambda _: Reply(body=BODY)) as storage:
        address = f"http://{storage.host}/bucket/blob?signature=abc"
        with serving(street.tokens.guard(moved(address))) as server:
            settled = Street(street.tokens, street.at_tokens, server, street.folder)
            settled.log_in()
            assert settled.registry.blob(settled.repository, DIGEST) == BODY
    (asked,) = storage.asked
    assert "authorization" not in asked.headers
    assert asked.path == "/bucket/blob?signature=abc"
    assert server.asked[-1].headers["authorization"].startswith("Bearer ")


def test_a_redirect_inside_the_registry_keeps_the_login(street: Street) -> None:
    def script(asked: Asked) -> Reply:
        return HERE if asked.path == "/elsewhere" else Reply(status=302, headers={"Location": "/elsewhere"})

    with serving(street.tokens.guard(script)) as server:
        settled = Street(street.tokens, street.at_tokens, server, street.folder)
        assert settled.registry.manifest(settled.repository.at(DIGEST)) == BODY


def test_storage_that_asks_for_a_login_gets_none(street: Street) -> None:
    street.log_in()
    asking = Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="give it to me"'})
    with (
        serving(lambda _: asking) as storage,
        serving(moved(f"http://{storage.host}/?signature=abc")) as server,
    ):
        settled = Street(street.tokens, street.at_tokens, server, street.folder)
        settled.log_in()
        with pytest.raises(OutsideError, match="answered 401") as caught:
            settled.registry.blob(settled.repository, DIGEST)
    assert len(storage.asked) == 1
    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("place", ["ftp://storage.example/blob?signature=abc", ""])
def test_a_redirect_to_nowhere_is_refused(place: str) -> None:
    with serving(moved(place)) as server:
        at = Repository(f"{server.host}/app")
        registry = Registry(plain_http=(server.host,), env={})
        with pytest.raises(OutsideError, match="redirects to") as caught:
            registry.blob(at, DIGEST)
    assert "abc" not in str(caught.value)


def test_redirects_in_a_circle_end() -> None:
    def script(asked: Asked) -> Reply:
        return Reply(status=302, headers={"Location": "/two" if asked.path == "/one" else "/one"})

    with serving(script) as server:
        registry = Registry(plain_http=(server.host,), env={})
        with pytest.raises(OutsideError, match="redirects more than") as caught:
            registry.blob(Repository(f"{server.host}/app"), DIGEST)
    assert not caught.value.again
    assert len(server.asked) == 5


def test_a_proxy_is_asked_in_the_stead_of_what_it_stands_for() -> None:
    with serving(lambda _: HERE) as proxy:
        env = {"HTTP_PROXY": f"http://user:pass@{proxy.host}"}
        registry = Registry(plain_http=("registry.example",), env=env)
        assert registry.manifest(f"registry.example/app@{DIGEST}") == BODY
    (asked,) = proxy.asked
    assert asked.path == f"http://registry.example/v2/app/manifests/{DIGEST}"
    assert asked.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"user:pass").decode()
