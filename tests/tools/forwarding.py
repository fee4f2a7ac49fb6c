"""Proxies on loopback, by HTTP and by SOCKS, that count what comes through them and let nothing out."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from threading import Thread

from sealift.services.ports import LOOPBACK
from tests.tools.scripted import EveryMethod


@dataclass
class Forwarding:
    """Where it listens, and whom it was asked for: ``host:port`` of a tunnel, the address of a request."""

    port: int
    tunnels: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def asked(self) -> list[str]:
        return [*self.tunnels, *self.requests]


@contextmanager
def forwarding(status: int = 502, tls: ssl.SSLContext | None = None) -> Iterator[Forwarding]:
    """Start one; it answers every request for a tunnel, and every other one, with ``status``.

    With ``tls`` it is itself spoken to by HTTPS.
    """

    class Handler(EveryMethod):
        def answer(self) -> None:
            proxy.logins.append(self.headers.get("Proxy-Authorization", ""))
            (proxy.tunnels if self.command == "CONNECT" else proxy.requests).append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True

    listening = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    listening.daemon_threads = True
    if tls is not None:
        listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    proxy = Forwarding(listening.server_port)
    thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


@contextmanager
def forwarding_socks() -> Iterator[Forwarding]:
    """Start one that speaks SOCKS 5: https://www.rfc-editor.org/rfc/rfc1928."""
    with socket.create_server((LOOPBACK, 0)) as listening:
        proxy = Forwarding(listening.getsockname()[1])
        Thread(target=_refuse_all, args=(listening, proxy), daemon=True).start()
        yield proxy
        listening.shutdown(socket.SHUT_RDWR)


def _refuse_all(listening: socket.socket, proxy: Forwarding) -> None:
    while True:
        try:
            came, _ = listening.accept()
        except OSError:
            return
        with came, came.makefile("rwb") as line:
            _, methods = line.read(2)
            line.read(methods)
            line.write(b"\x05\x00")
            line.flush()
            *_, kind = line.read(4)
            # 3 is a name: this machine has not looked it up.
            name = line.read(line.read(1)[0]).decode() if kind == 3 else "an address"
            proxy.tunnels.append(f"{name}:{int.from_bytes(line.read(2))}")
            line.write(b"\x05\x02\x00\x01\0\0\0\0\0\0")
