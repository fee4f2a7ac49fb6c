"""A server on loopback that answers as a test says, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from threading import Thread
from typing import Any

from sealift.services.ports import LOOPBACK


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came; headers are named in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer; ``raw`` is written to the line as it is, in the place of all else.

    ``pace`` is how many seconds pass before each byte of the body.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    pace: float = 0


Script = Callable[[Asked], Reply]


def told(value: Any, kind: str = "application/json", **headers: str) -> Reply:
    """Answer with JSON; a header's ``_`` is a ``-``."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(headers={"Content-Type": kind, **named}, body=json.dumps(value).encode())


@dataclass
class Server:
    """Where it listens, and all that it was asked."""

    host: str
    asked: list[Asked] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """Each request's method and path."""
        return [f"{a.method} {a.path}" for a in self.asked]


def _write(line: BufferedIOBase, reply: Reply) -> None:
    if not reply.pace:
        line.write(reply.body)
        return
    # Whoever asked may have gone.
    with contextlib.suppress(OSError):
        for byte in reply.body:
            time.sleep(reply.pace)
            line.write(bytes([byte]))


class EveryMethod(BaseHTTPRequestHandler):
    """Answers requests of every method in one place, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    """Start one; each request is answered in a thread of its own."""

    class Handler(EveryMethod):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(method=self.command, path=self.path, headers=headers, body=body)
            server.asked.append(asked)
            self.write(script(asked))

        def write(self, reply: Reply) -> None:
            if reply.raw is not None:
                self.close_connection = True
                self.wfile.write(reply.raw)
                return
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                _write(self.wfile, reply)

    listening = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    listening.daemon_threads = True
    server = Server(f"localhost:{listening.server_port}")
    thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
