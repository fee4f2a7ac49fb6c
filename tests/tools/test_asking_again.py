"""Clients in front of a server in trouble: they ask once, and the one place that tries again asks again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from sealift.errors import OutsideError
from sealift.patience import Patience, persist
from sealift.services.ports import LOOPBACK, free_ports
from sealift.tools import sigstore_outside
from sealift.tools.sigstore_outside import hurry, outside
from sealift.tools.sigstore_token import ambient_token

pytestmark = pytest.mark.programs

SECRET = "the-job's-own-secret"
GOOD: tuple[int, str, dict[str, str]] = (200, json.dumps({"value": "a token"}), {})


class Script(ThreadingHTTPServer):
    """Gives one answer after another, the last one for ever; None is silence until the test is over."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *answers: tuple[int, str, dict[str, str]] | None) -> None:
        super().__init__((LOOPBACK, 0), Speaker)
        self.answers = list(answers)
        self.asked = 0
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}"


class Speaker(BaseHTTPRequestHandler):
    server: Script

    def do_GET(self) -> None:
        server = self.server
        answer = server.answers[min(server.asked, len(server.answers) - 1)]
        server.asked += 1
        if answer is None:
            server.over.wait()
            return
        status, body, headers = answer
        self.send_response(status)
        for name, value in (*headers.items(), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Start = Callable[..., Script]


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[Script] = []

    def begin(*answers: tuple[int, str, dict[str, str]] | None) -> Script:
        server = Script(*answers)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    yield begin
    for server in servers:
        server.over.set()
        server.shutdown()
        server.server_close()


@dataclass
class Watch:
    """Remembers the pauses."""

    pauses: list[float] = field(default_factory=list)

    def token(self, address: str) -> str:
        env = {"ACTIONS_ID_TOKEN_REQUEST_URL": address, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": SECRET}
        return persist(
            lambda: ambient_token(env),
            doing="sign",
            patience=Patience(seconds=30),
            next_step="sealift sign",
            pause=self.pauses.append,
            jitter=lambda low, _high: low,
        )


def test_a_provider_that_recovers_is_asked_again_when_it_says(start: Start) -> None:
    server, watch = start((503, "", {"Retry-After": "4"}), (429, "", {"Retry-After": "6"}), GOOD), Watch()
    assert watch.token(server.address) == "a token"
    assert (watch.pauses, server.asked) == ([4, 6], 3)


def test_one_that_asks_for_more_than_the_budget_is_not_waited_for(start: Start) -> None:
    server, watch = start((503, "", {"Retry-After": "3000"})), Watch()
    with pytest.raises(OutsideError, match=r"tried once: the server asks for 3000 s more.*30 s of 30 s left"):
        watch.token(server.address)
    assert (watch.pauses, server.asked) == ([], 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_no_is_taken_for_one(start: Start, status: int) -> None:
    server, watch = start((status, "", {}), GOOD), Watch()
    with pytest.raises(OutsideError, match=f"the identity provider answered {status}") as caught:
        watch.token(server.address)
    assert (caught.value.exit_code, watch.pauses, server.asked) == (4, [], 1)
    assert SECRET not in str(caught.value)


def test_the_secret_follows_nobody_to_another_address(start: Start) -> None:
    other = start(GOOD)
    server, watch = start((302, "", {"Location": other.address})), Watch()
    with pytest.raises(OutsideError, match="answered 302"):
        watch.token(server.address)
    assert other.asked == 0


@pytest.mark.parametrize("body", ["<html>", "{}", "[]", ""])
def test_what_is_no_token_is_asked_for_again(start: Start, body: str) -> None:
    server, watch = start((200, body, {}), GOOD), Watch()
    assert watch.token(server.address) == "a token"
    assert (len(watch.pauses), server.asked) == (1, 2)


def test_nobody_there_is_asked_again() -> None:
    (port,) = free_ports(1).release()
    with pytest.raises(OutsideError, match=r"no identity token came") as caught:
        ambient_token(
            {
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://{LOOPBACK}:{port}",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": SECRET,
            }
        )
    assert caught.value.again


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sigstore_outside, "READ", 0.2)
    session = requests.Session()
    hurry(session)
    began = time.monotonic()
    with pytest.raises(requests.ReadTimeout) as caught:
        session.get(start(None).address)
    assert time.monotonic() - began < 10
    assert outside(caught.value, "x").again
