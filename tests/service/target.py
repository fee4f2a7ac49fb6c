"""Something to watch: a server on loopback whose paths answer well until they are broken.

with Target() as target:
    target.broken.add("/shop")
"""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from sealift.services.ports import LOOPBACK


class _Server(ThreadingHTTPServer):
    # A thousand endpoints may ask at once; whom there is no room for is heard a second later.
    request_queue_size = 1024


class Target:
    """The server, and which of its paths are broken now."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self._server = _Server((LOOPBACK, 0), _handler(self.broken))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(broken: set[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            well = self.path not in broken
            self.send_response(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing: its log is of no use to anybody."""

    return Handler
