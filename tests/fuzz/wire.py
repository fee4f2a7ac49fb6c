"""Answers of a server, byte by byte, for urllib3 and everything above it; nothing is connected."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from unittest import mock

# Between the answers, which connections get one after another.
NEXT = b"\n\0\n"


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    """Write one answer; a name's underscores are dashes."""
    told = {"Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n{lines}\r\n".encode() + body


def _drip(to: socket.socket, drop: bytes, pause: float) -> None:
    to.setblocking(True)
    with suppress(OSError):
        while True:
            to.sendall(drop)
            time.sleep(pause)


@contextmanager
def served(data: bytes) -> Iterator[None]:
    """Let each new connection of this process read the next answer; after the last one, nothing comes."""
    with answering(iter(data.split(NEXT))):
        yield


@contextmanager
def answering(answers: Iterator[bytes], *, drop: bytes = b"", pause: float = 0) -> Iterator[None]:
    """Give each connection an answer; with ``drop``, followed by that again and again, after a pause each."""
    with ExitStack() as held:

        def connect(*_: Any, **__: Any) -> socket.socket:
            ours, theirs = socket.socketpair()
            held.callback(theirs.close)
            held.callback(ours.close)
            ours.settimeout(5)
            theirs.setblocking(False)
            with suppress(BlockingIOError, BrokenPipeError):
                theirs.send(next(answers, b""))
            if drop:
                threading.Thread(target=_drip, args=(theirs, drop, pause), daemon=True).start()
            else:
                theirs.shutdown(socket.SHUT_WR)
            return ours

        held.enter_context(mock.patch("urllib3.util.connection.create_connection", connect))
        yield
