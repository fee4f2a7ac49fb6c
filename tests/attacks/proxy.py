"""A registry that fails: it stands before a real one and answers some of the questions itself."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from sealift.services.ports import LOOPBACK

# Given a path, what it answers in the registry's stead; None lets the registry answer.
Answer = Callable[[str], tuple[int, bytes] | None]
HOP_BY_HOP = frozenset({"connection", "transfer-encoding", "date", "server"})


@contextmanager
def before(host: str, answer: Answer) -> Iterator[str]:
    """Start it before ``localhost:port`` and give its own address."""
    port = int(host.rpartition(":")[2])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = self._ask()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def _ask(self) -> tuple[int, dict[str, str], bytes]:
            if (told := answer(self.path)) is not None:
                return told[0], {"Content-Length": str(len(told[1]))}, told[1]
            behind = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
            try:
                behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                # Accept comes once for each type.
                for name, value in self.headers.items():
                    behind.putheader(name, value)
                behind.endheaders()
                came = behind.getresponse()
                kept = {k: v for k, v in came.getheaders() if k.lower() not in HOP_BY_HOP}
                body = came.read()
                return came.status, {"Content-Length": str(len(body)), **kept}, body
            finally:
                behind.close()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
