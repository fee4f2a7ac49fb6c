"""The proxy before a Unix socket, as a gRPC client meets it: calls are answered, or content is spoilt."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from h2.connection import H2Connection
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded

from tests.faults import outside, relay
from tests.faults.fault import Fault, Kind
from tests.faults.http1 import PAGE
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.programs

CALL = [(":method", "POST"), (":scheme", "http"), (":path", "/moby.buildkit.v1.Control/Solve")]
ANSWER, CONTENT = b"a short answer", bytes(range(256)) * (relay.BEFORE_CONTENT // 256)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """Stand before a service that says something short, waits for a byte, and sends content twice."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "behind"))
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client, contextlib.suppress(OSError):
                        client.sendall(ANSWER)
                        client.recv(1)
                        client.sendall(CONTENT * 2)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with Proxy(front=tmp_path / "front", behind=tmp_path / "behind", dialect=outside.builder) as proxy:
            yield proxy
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def connected(proxy: Proxy) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(proxy.front))
    return sock


def called(proxy: Proxy, *, calls: int = 1) -> list[Event]:
    """Call the service so often on one connection, and return what comes."""
    client = H2Connection()
    events: list[Event] = []
    client.initiate_connection()
    for number in range(calls):
        client.send_headers(2 * number + 1, [*CALL, (":authority", "localhost")])
        client.send_data(2 * number + 1, b"a message", end_stream=True)
    with connected(proxy) as sock:
        sock.sendall(client.data_to_send())
        while sum(isinstance(event, StreamEnded) for event in events) < calls:
            events += client.receive_data(sock.recv(1 << 16))
    return events


def headers(event: ResponseReceived) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in event.headers or []}


@pytest.mark.parametrize(
    ("code", "status"),
    [(401, 16), (403, 7), (404, 5), (409, 6), (422, 3), (429, 8), (500, 13), (502, 14), (418, 2)],
)
def test_each_status_of_http_is_said_as_grpcs_own(proxy: Proxy, code: int, status: int) -> None:
    with proxy.failing(Fault(kind=Kind.STATUS, code=code)) as met:
        (response,) = [e for e in called(proxy) if isinstance(e, ResponseReceived)]
    assert met.count == 1
    told = headers(response)
    assert (told[":status"], told["content-type"]) == ("200", "application/grpc")
    assert told["grpc-status"] == str(status)
    assert told["grpc-message"]


def test_every_call_on_a_connection_is_answered(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.STATUS, code=502)) as met:
        answers = [e for e in called(proxy, calls=3) if isinstance(e, ResponseReceived)]
    assert [headers(answer)["grpc-status"] for answer in answers] == ["14"] * 3
    assert met.count == 1


def test_when_to_ask_again_is_said_in_grpcs_words(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.STATUS, code=429, retry_after=2)):
        (response,) = [e for e in called(proxy) if isinstance(e, ResponseReceived)]
    assert headers(response)["grpc-retry-pushback-ms"] == "2000"


def test_a_page_is_no_answer_of_grpc(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.PAGE)):
        events = called(proxy)
    (response,) = [e for e in events if isinstance(e, ResponseReceived)]
    assert headers(response) == {":status": "200", "content-type": "text/html; charset=utf-8"}
    assert b"".join(e.data or b"" for e in events if isinstance(e, DataReceived)) == PAGE


def content_of(proxy: Proxy) -> bytes:
    """Read the answer and then, once the service was asked for it, all content."""
    with connected(proxy) as sock:
        came = sock.recv(len(ANSWER), socket.MSG_WAITALL)
        sock.sendall(b"!")
        while data := sock.recv(1 << 16):
            came += data
    return came


def test_one_bit_of_content_is_another_and_what_is_short_stays_as_it_is(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.WRONG)) as met:
        came = content_of(proxy)
    assert came.startswith(ANSWER)
    whole = ANSWER + CONTENT * 2
    assert [a ^ b for a, b in zip(came, whole, strict=True) if a != b] == [1]
    assert met.count == 1
    assert content_of(proxy) == whole


def test_content_that_never_came_was_not_spoilt(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.WRONG)) as met, connected(proxy) as sock:
        assert sock.recv(len(ANSWER), socket.MSG_WAITALL) == ANSWER
    assert met.count == 0


def test_the_next_connection_is_served_when_a_status_is_over(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.STATUS, code=500, times=1)):
        called(proxy)
        assert content_of(proxy) == ANSWER + CONTENT * 2
