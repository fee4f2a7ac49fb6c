"""The proxy's way with a Unix socket: bytes there, bytes back; where HTTP/2 is spoken, a status as well."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from tests.faults import http2, wire
from tests.faults.fault import Kind, Request

if TYPE_CHECKING:
    from tests.faults.proxy import Met, Proxy

CHUNK = 1 << 16
# How much of the service's words passes before a connection breaks: more than a greeting.
BEFORE_THE_BREAK = 200
# A piece so large that comes after so much is of an image's layers, which have digests.
CONTENT, BEFORE_CONTENT = 1 << 14, 1 << 20
# These are answers, for which the service is not asked.
_ANSWERS = frozenset({Kind.STATUS, Kind.PAGE})


def serve(proxy: Proxy, client: socket.socket) -> None:
    """Relay one connection to its end."""
    # Wrong bytes hit a piece of content, when it comes; everything else hits the connection.
    spoils = proxy.fails_by is Kind.WRONG
    met = None if spoils else proxy.meet(_request(proxy))
    if met is not None and met.fault.kind in _ANSWERS:
        http2.answer(client, http2.reply_of(met.fault, proxy.dialect))
        return
    with proxy.connect() as service:
        forth = threading.Thread(target=_pump, args=(client, service), daemon=True)
        forth.start()
        try:
            if spoils:
                _spoil(service, client, proxy)
            elif met is None:
                _pump(service, client)
            else:
                _pump_back(service, client, met)
        finally:
            _shut(service)
            _shut(client)
            forth.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(CHUNK):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        _shut(target)


def _pump_back(service: socket.socket, client: socket.socket, met: Met) -> None:
    match met.fault.kind:
        case Kind.GARBAGE:
            client.sendall(wire.GARBAGE)
        case Kind.SLOW_FIRST:
            met.over.wait(met.fault.seconds)
            _pump(service, client)
        case Kind.SLOW_BODY:
            _crawl(service, client, met)
        case Kind.RESET | Kind.TRUNCATED:
            _break(service, client)
            if met.fault.kind is Kind.RESET:
                wire.reset(client)
        case other:
            raise ValueError(f"{other} is no fault of a connection")


def _crawl(service: socket.socket, client: socket.socket, met: Met) -> None:
    """Hold every piece back for a while."""
    while data := service.recv(CHUNK):
        met.over.wait(met.fault.seconds / wire.PIECES)
        client.sendall(data)


def _spoil(service: socket.socket, client: socket.socket, proxy: Proxy) -> None:
    """Change one bit of the content that the service sends."""
    passed = 0
    while data := service.recv(CHUNK):
        is_content = len(data) >= CONTENT and passed >= BEFORE_CONTENT
        if is_content and proxy.meet(_request(proxy)) is not None:
            client.sendall(wire.flipped(data))
            break
        client.sendall(data)
        passed += len(data)
    _pump(service, client)


def _request(proxy: Proxy) -> Request:
    return Request(method="", path=str(proxy.front))


def _break(service: socket.socket, client: socket.socket) -> None:
    """Let a part of the service's words pass, the last of them broken off."""
    passed = 0
    while passed < BEFORE_THE_BREAK and (data := service.recv(CHUNK)):
        part = data if passed + len(data) < BEFORE_THE_BREAK else data[: len(data) // 2]
        client.sendall(part)
        passed += len(data)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
