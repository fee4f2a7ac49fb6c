"""The fault proxy, before a plain server on loopback: it fails as it was told, and in no other way."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sealift.services.ports import LOOPBACK, free_ports
from tests.faults import http1, wire
from tests.faults.fault import Fault, Kind, Reply, writes
from tests.faults.proxy import Proxy

pytestmark = pytest.mark.programs

SAID = b"0123456789" * 20


@dataclass
class Service:
    """The real one, and the bodies of the writes that reached it whole."""

    port: int
    taken: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("X-Host", self.headers["Host"])
            self.send_header("Content-Length", str(len(SAID)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(SAID)

        do_HEAD = do_GET  # noqa: N815 - http.server's own name

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) == length:
                behind.taken.append(body)
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    behind = Service(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield behind
    server.shutdown()
    server.server_close()
    thread.join()


def says_no(code: int) -> Reply:
    return Reply(status=code, headers=(("X-Why", "told to"),), body=b'{"code": %d}' % code)


@pytest.fixture
def proxy(service: Service) -> Iterator[Proxy]:
    service.taken.clear()
    (port,) = free_ports(1).release()
    with Proxy(front=port, behind=service.port, dialect=says_no) as proxy:
        yield proxy


def port_of(proxy: Proxy) -> int:
    assert isinstance(proxy.front, int)
    return proxy.front


def ask(proxy: Proxy, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(LOOPBACK, port_of(proxy), timeout=10)
    with contextlib.closing(connection):
        connection.request(method, "/there?a=b", body)
        answer = connection.getresponse()
        return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}


def raw(proxy: Proxy, method: str) -> tuple[bytes, type[OSError] | None]:
    """Return every byte that comes, and how the connection ends."""
    came = b""
    with socket.create_connection((LOOPBACK, port_of(proxy)), timeout=10) as sock:
        sock.sendall(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        try:
            while data := sock.recv(1 << 16):
                came += data
        except OSError as error:
            return came, type(error)
    return came, None


def test_without_a_fault_nothing_is_changed(proxy: Proxy, service: Service) -> None:
    status, body, headers = ask(proxy)
    assert (status, body) == (200, SAID)
    assert headers["x-host"] == f"{LOOPBACK}:{proxy.front}"
    _, nothing, of_head = ask(proxy, "HEAD")
    assert (nothing, {**of_head, "date": ""}) == (b"", {**headers, "date": ""})
    assert ask(proxy, "POST", b"written")[0] == 201
    assert service.taken == [b"written"]
    assert [s.fault for s in proxy.seen] == [None] * 3


def test_a_connection_serves_many_requests(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, port_of(proxy), timeout=10)
    with contextlib.closing(connection):
        for _ in range(3):
            connection.request("GET", "/")
            assert connection.getresponse().read() == SAID


def test_a_body_in_chunks_arrives_whole(proxy: Proxy, service: Service) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, port_of(proxy), timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/", iter([b"in ", b"chunks"]), encode_chunked=True)
        assert connection.getresponse().status == 201
    assert service.taken == [b"in chunks"]


def test_a_status_comes_in_the_services_words_and_the_service_is_not_asked(
    proxy: Proxy, service: Service
) -> None:
    with proxy.failing(Fault(kind=Kind.STATUS, code=429, retry_after=2)) as met:
        status, body, headers = ask(proxy, "POST", b"unwanted")
        assert ask(proxy, "HEAD")[:2] == (429, b"")
    assert (status, body) == (429, b'{"code": 429}')
    assert headers["retry-after"] == "2"
    assert headers["x-why"] == "told to"
    assert service.taken == []
    assert met.count == 2


def test_it_is_over_after_so_many_times(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.STATUS, code=500, times=2)) as met:
        assert [ask(proxy)[0] for _ in range(3)] == [500, 500, 200]
    assert met.count == 2


def test_it_begins_after_so_many(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.STATUS, code=500, match=writes, skip=1, times=1)):
        assert [ask(proxy, m, b"x")[0] for m in ("POST", "GET", "POST", "POST")] == [201, 200, 500, 201]


def test_only_what_matches_is_hit(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.STATUS, code=500, match=writes)) as met:
        assert ask(proxy)[0] == 200
        assert ask(proxy, "POST", b"x")[0] == 500
    assert [hit.request.method for hit in met.hits] == ["POST"]


def test_nobody_listens_and_then_somebody_does(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.REFUSED)), pytest.raises(ConnectionRefusedError):
        ask(proxy)
    assert ask(proxy)[0] == 200


def test_somebody_listens_again_after_a_while(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.REFUSED, lasts=3)) as met:
        with pytest.raises(ConnectionRefusedError):
            ask(proxy)
        assert met.over.wait(10)
        assert ask(proxy)[0] == 200


def test_a_connection_that_was_open_does_not_get_past_a_fault(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection(LOOPBACK, port_of(proxy), timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        connection.getresponse().read()
        with proxy.failing(Fault(kind=Kind.REFUSED)), pytest.raises(OSError):  # noqa: PT011, PT012 - either
            connection.request("GET", "/")
            connection.getresponse()


def test_half_of_an_answer_comes_before_the_reset(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.RESET)):
        came, ended = raw(proxy, "GET")
    assert ended is ConnectionResetError
    head, _, body = came.partition(b"\r\n\r\n")
    assert b"Content-Length: 200" in head
    assert body == SAID[:100]


def test_half_of_an_upload_arrives_before_the_reset(proxy: Proxy, service: Service) -> None:
    with proxy.failing(Fault(kind=Kind.RESET)), pytest.raises(ConnectionResetError):
        ask(proxy, "POST", b"half" * 100)
    assert service.taken == []


def test_a_lost_answer_is_that_of_a_write_that_was_done(proxy: Proxy, service: Service) -> None:
    with proxy.failing(Fault(kind=Kind.LOST)), pytest.raises(ConnectionResetError):
        ask(proxy, "POST", b"done")
    assert service.taken == [b"done"]


def test_a_truncated_body_promises_all_of_it(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.TRUNCATED)), pytest.raises(http.client.IncompleteRead) as caught:
        ask(proxy)
    assert (caught.value.partial, caught.value.expected) == (SAID[:100], 100)


def test_an_answer_without_a_body_is_broken_in_its_head(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.TRUNCATED)):
        came, ended = raw(proxy, "HEAD")
    assert ended is None
    assert came.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not came.endswith(b"\r\n\r\n")


def test_one_bit_is_another(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.WRONG)):
        status, body, _ = ask(proxy)
    assert status == 200
    changed = [(a, b) for a, b in zip(body, SAID, strict=True) if a != b]
    assert [a ^ b for a, b in changed] == [1]


def test_garbage_is_no_http(proxy: Proxy) -> None:
    with proxy.failing(Fault(kind=Kind.GARBAGE)), pytest.raises(http.client.BadStatusLine):
        ask(proxy)


def test_a_page_is_no_answer_of_the_service(proxy: Proxy, service: Service) -> None:
    with proxy.failing(Fault(kind=Kind.PAGE)):
        status, body, headers = ask(proxy, "POST", b"unwanted")
    assert (status, body, headers["content-type"]) == (200, http1.PAGE, "text/html; charset=utf-8")
    assert service.taken == []


@pytest.mark.parametrize("kind", [Kind.SLOW_FIRST, Kind.SLOW_BODY])
def test_what_is_slow_comes_whole_and_late(proxy: Proxy, kind: Kind) -> None:
    began = time.monotonic()
    with proxy.failing(Fault(kind=kind, seconds=0.5)):
        assert ask(proxy)[1] == SAID
    assert time.monotonic() - began > 0.4


def test_the_end_of_a_fault_lets_go_of_what_is_slow(proxy: Proxy) -> None:
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(ask(proxy)[0]))
    began = time.monotonic()
    with proxy.failing(Fault(kind=Kind.SLOW_FIRST, seconds=60)) as met:
        asking.start()
        while not met.count and time.monotonic() < began + 30:
            time.sleep(0.01)
    asking.join(30)
    assert answers == [200]
    assert time.monotonic() - began < 50


@pytest.fixture
def on_a_socket(tmp_path: Path) -> Iterator[Proxy]:
    """Stand before a Unix socket whose service greets with 400 bytes, then says everything twice."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(tmp_path / "behind"))
    listener.listen()

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError):
                    client.sendall(b"hello" * 80)
                    while data := client.recv(100):
                        client.sendall(data * 2)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    with Proxy(front=tmp_path / "front", behind=tmp_path / "behind", dialect=says_no) as proxy:
        yield proxy
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def talk(proxy: Proxy) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.connect(str(proxy.front))
        # Whoever breaks off may have done so already.
        with contextlib.suppress(BrokenPipeError):
            sock.sendall(b"word")
            sock.shutdown(socket.SHUT_WR)
        came = b""
        while data := sock.recv(1 << 16):
            came += data
        return came


WHOLE = b"hello" * 80 + b"wordword"


def test_a_socket_is_relayed(on_a_socket: Proxy) -> None:
    assert talk(on_a_socket) == WHOLE


def test_a_socket_refuses_and_then_answers(on_a_socket: Proxy) -> None:
    with on_a_socket.failing(Fault(kind=Kind.REFUSED)), pytest.raises(ConnectionRefusedError):
        talk(on_a_socket)
    assert talk(on_a_socket) == WHOLE


def test_a_socket_says_garbage(on_a_socket: Proxy) -> None:
    with on_a_socket.failing(Fault(kind=Kind.GARBAGE)) as met:
        assert talk(on_a_socket) == wire.GARBAGE
    assert met.count == 1


def test_a_socket_breaks_off(on_a_socket: Proxy) -> None:
    with on_a_socket.failing(Fault(kind=Kind.TRUNCATED)):
        came = talk(on_a_socket)
    assert WHOLE.startswith(came)
    assert 0 < len(came) < len(WHOLE)


@pytest.mark.parametrize("kind", [Kind.SLOW_FIRST, Kind.SLOW_BODY])
def test_a_slow_socket_comes_whole(on_a_socket: Proxy, kind: Kind) -> None:
    began = time.monotonic()
    with on_a_socket.failing(Fault(kind=kind, seconds=0.5)):
        assert talk(on_a_socket) == WHOLE
    assert time.monotonic() - began >= 0.05
