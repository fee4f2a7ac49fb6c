"""A proxy that fails on demand: it stands before a real service, on the address that clients know.

    with Proxy(front=5000, behind=5001, dialect=registry_says) as proxy:
        with proxy.failing(Fault(kind=Kind.STATUS, code=500, match=writes, times=1)) as met:
            ...
        assert met.count == 1

What it stands before is a port on loopback that speaks HTTP, or a Unix socket: there bytes are relayed, and a
fault is about a connection. A status there is said in HTTP/2, which is what gRPC speaks.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sealift.services.ports import LOOPBACK
from tests.faults import http1, relay
from tests.faults.fault import Dialect, Fault, Kind, Request

Address = int | Path
_BACKLOG = 128


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request that came, when (monotonic seconds), and what was done to it."""

    at: float
    request: Request
    fault: Fault | None


@dataclass
class Met:
    """One fault while it lasts, and the requests that it hit."""

    fault: Fault
    hits: list[Seen] = field(default_factory=list)
    spared: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def count(self) -> int:
        """How many requests it hit."""
        return len(self.hits)

    def takes(self, request: Request) -> bool:
        """Tell whether it hits this one."""
        used = self.fault.times is not None and self.count >= self.fault.times
        if used or self.over.is_set() or not self.fault.match(request):
            return False
        if self.spared < self.fault.skip:
            self.spared += 1
            return False
        return True


class Proxy:
    """Listens on ``front`` and passes everything on to ``behind``, but for what a fault says."""

    def __init__(self, *, front: Address, behind: Address, dialect: Dialect) -> None:
        self.front = front
        self.behind = behind
        self.dialect = dialect
        self.seen: list[Seen] = []
        self._lock = threading.Lock()
        self._met: Met | None = None
        self._listener: socket.socket | None = None
        self._clients: set[socket.socket] = set()
        self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[Met]:
        """Fail in one way until this block ends; connections that were open before are cut."""
        met = Met(fault)
        with self._lock:
            self._met = met
        if fault.kind is Kind.REFUSED:
            self._stop_listening()
        self._cut()
        ending = threading.Timer(fault.lasts or 0, self._over, (met,))
        if fault.lasts is not None:
            ending.start()
        try:
            yield met
        finally:
            ending.cancel()
            self._over(met)

    def _over(self, met: Met) -> None:
        with self._lock:
            if met.over.is_set():
                return
            self._met = None
            if met.fault.kind is Kind.REFUSED:
                self._listen()
            # Last: whoever waits for it connects at once.
            met.over.set()

    def close(self) -> None:
        """Stop listening and cut every connection."""
        self._stop_listening()
        self._cut()

    @property
    def fails_by(self) -> Kind | None:
        """How it fails at the moment, if it does."""
        with self._lock:
            return self._met.fault.kind if self._met is not None else None

    def meet(self, request: Request) -> Met | None:
        """Write a request down, and tell which fault hits it."""
        with self._lock:
            met = self._met if self._met is not None and self._met.takes(request) else None
            seen = Seen(at=time.monotonic(), request=request, fault=met.fault if met else None)
            self.seen.append(seen)
            if met is not None:
                met.hits.append(seen)
        return met

    def connect(self) -> socket.socket:
        """Open a connection to the service behind."""
        if isinstance(self.behind, Path):
            there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                there.connect(str(self.behind))
            except OSError:
                there.close()
                raise
            return there
        return socket.create_connection((LOOPBACK, self.behind), timeout=60)

    def _listen(self) -> None:
        listener = _listening(self.front)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _stop_listening(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return
        # Closing alone would leave the thread in accept(), and the port listening with it. A Unix socket's
        # file stays: a client must be refused, not told that nobody has ever been there.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            # Known before its thread runs: a fault that begins now cuts it.
            with self._lock:
                self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if isinstance(self.front, Path):
                relay.serve(self, client)
            else:
                http1.serve(self, client, self.dialect)
        except OSError:
            # One of both sides went away, which is no fault of the proxy's.
            pass
        finally:
            with self._lock:
                self._clients.discard(client)
            client.close()

    def _cut(self) -> None:
        with self._lock:
            clients = tuple(self._clients)
        for client in clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _listening(front: Address) -> socket.socket:
    if isinstance(front, Path):
        front.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(front))
    else:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, front))
    listener.listen(_BACKLOG)
    return listener
