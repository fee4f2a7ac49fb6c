"""The proxy's way with HTTP/1.1: a request is read whole, passed on, and answered as a fault says."""

from __future__ import annotations

import http.client
import socket
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast

from tests.faults import wire
from tests.faults.fault import Dialect, Kind, Reply, Request

if TYPE_CHECKING:
    from tests.faults.proxy import Met, Proxy

# Of one connection, so not passed on.
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
PAGE = b"<!doctype html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
_IDLE_SECONDS = 120


def serve(proxy: Proxy, client: socket.socket, dialect: Dialect) -> None:
    """Answer one connection's requests to its end."""
    client.settimeout(_IDLE_SECONDS)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # BaseHTTPRequestHandler wants a server, and asks nothing of it.
    _Handler.bound(proxy, dialect)(client, ("", 0), cast("Any", None))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy
    dialect: Dialect

    @classmethod
    def bound(cls, proxy: Proxy, dialect: Dialect) -> type[_Handler]:
        return type("Bound", (cls,), {"proxy": proxy, "dialect": staticmethod(dialect)})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        request = Request(
            method=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
        )
        met = self.proxy.meet(request)
        try:
            self._answer(self._body(), met)
        except (OSError, http.client.HTTPException):
            # The service behind is gone, or the client: as if nobody stood between.
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _body(self) -> bytes:
        """Read the request's body, however its length is told."""
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _answer(self, body: bytes, met: Met | None) -> None:
        if met is None:
            self._send(self._ask(body))
            return
        match met.fault.kind:
            case Kind.STATUS:
                self._send(self._said_no(met))
            case Kind.PAGE:
                self._send(_reply(200, "text/html; charset=utf-8", PAGE, self.command))
            case Kind.GARBAGE:
                self._end_with(wire.GARBAGE)
            case Kind.SILENT:
                met.over.wait()
                self.close_connection = True
            case Kind.RESET if body:
                self._broken_off(body)
            case _:
                self._spoil(self._ask(body), met)

    def _spoil(self, reply: Reply, met: Met) -> None:
        """Pass an answer on, but not as it was."""
        match met.fault.kind:
            case Kind.SLOW_FIRST:
                met.over.wait(met.fault.seconds)
                self._send(reply)
            case Kind.SLOW_BODY:
                self.connection.sendall(reply.head)
                wire.dribble(self.connection, reply.body, seconds=met.fault.seconds, over=met.over)
            case Kind.WRONG:
                changed = (
                    wire.flipped(reply.body) if reply.status < http.HTTPStatus.BAD_REQUEST else reply.body
                )
                self.connection.sendall(reply.head + changed)
            case Kind.LOST:
                self._end_with(b"", reset=True)
            case kind:
                self._end_with(_half(reply), reset=kind is Kind.RESET)

    def _ask(self, body: bytes) -> Reply:
        """Have the service answer; its address is the one that the client asked."""
        behind = http.client.HTTPConnection("")
        behind.sock = self.proxy.connect()
        try:
            self._put_head(behind, len(body))
            behind.send(body)
            came = behind.getresponse()
            kept = tuple((k, v) for k, v in came.getheaders() if k.lower() not in HOP_BY_HOP)
            content = came.read()
            length = came.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        finally:
            behind.close()
        if length is not None and came.status != http.HTTPStatus.NO_CONTENT:
            kept = (*kept, ("Content-Length", length))
        return Reply(status=came.status, headers=kept, body=content, bodiless=self.command == "HEAD")

    def _put_head(self, behind: http.client.HTTPConnection, length: int) -> None:
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            # Nobody waits for a 100 here: the body follows.
            if name.lower() not in HOP_BY_HOP | {"expect"}:
                behind.putheader(name, value)
        if length or self.command in ("POST", "PUT", "PATCH"):
            behind.putheader("Content-Length", str(length))
        behind.putheader("Connection", "close")
        behind.endheaders()

    def _broken_off(self, body: bytes) -> None:
        """Let half of an upload reach the service; both sides see the connection break."""
        behind = http.client.HTTPConnection("")
        behind.sock = self.proxy.connect()
        try:
            self._put_head(behind, len(body))
            behind.send(body[: len(body) // 2])
            wire.reset(behind.sock)
        finally:
            behind.close()
        self._end_with(b"", reset=True)

    def _said_no(self, met: Met) -> Reply:
        said = met.fault.reply or self.dialect(met.fault.code)
        later = () if met.fault.retry_after is None else (("Retry-After", str(met.fault.retry_after)),)
        length = ("Content-Length", str(len(said.body)))
        return Reply(
            status=met.fault.code,
            headers=(*said.headers, *later, length),
            body=said.body,
            bodiless=self.command == "HEAD",
        )

    def _send(self, reply: Reply) -> None:
        self.connection.sendall(reply.head + (b"" if reply.bodiless else reply.body))

    def _end_with(self, data: bytes, *, reset: bool = False) -> None:
        """Send these last bytes and close the connection."""
        self.connection.sendall(data)
        if reset:
            wire.reset(self.connection)
        self.close_connection = True


def _reply(status: int, kind: str, body: bytes, method: str) -> Reply:
    headers = (("Content-Type", kind), ("Content-Length", str(len(body))))
    return Reply(status=status, headers=headers, body=body, bodiless=method == "HEAD")


def _half(reply: Reply) -> bytes:
    """Return a whole head and half of a body; where there is no body, half of the head."""
    if reply.body and not reply.bodiless:
        return reply.head + reply.body[: len(reply.body) // 2]
    return reply.head[: len(reply.head) // 2]
