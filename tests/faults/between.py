"""Proxies before every service of a rehearsal: the addresses stay, the services move.

A world's ports are inside references and certificates, so the proxy takes a service's own port and the
service gets another one. The builder's socket is renamed once its daemon has made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.rehearsal import world
from sealift.services.ports import free_ports
from sealift.services.service import HttpReady, Service, SocketReady, TcpReady
from sealift.services.supervised import DEADLINE, Supervised
from tests.faults.fault import Dialect
from tests.faults.outside import DIALECTS
from tests.faults.proxy import Proxy

# What a service writes into tokens and answers must stay the address that clients know.
KNOWN_AS: Mapping[str, tuple[str, str]] = {
    "issuer": ("--url", "http://localhost:{}"),
    "email-issuer": ("--url", "http://localhost:{}"),
    "github": ("--origin", "http://127.0.0.1:{}"),
}


class Between(Supervised):
    """Starts services elsewhere, and before each one that has a dialect a proxy."""

    proxies: Mapping[str, Proxy] = {}

    def start(self, services: Sequence[Service], *, deadline: float = DEADLINE) -> None:
        """Start all of them, and give their proxies by the services' names."""
        moved = []
        with free_ports(len(services)) as held:
            for service, port in zip(services, held.numbers, strict=True):
                dialect = DIALECTS.get(service.name)
                if dialect is None or isinstance(service.ready, SocketReady):
                    moved.append(service)
                    continue
                moved.append(elsewhere(service, port))
                # Before the services: Fulcio asks its issuers at its start.
                self._stand(service.name, service.ready.port, port, dialect)
        super().start(moved, deadline=deadline)
        for service in moved:
            if isinstance(service.ready, SocketReady):
                self._stand(service.name, *_renamed(service.ready.path), DIALECTS[service.name])

    def close(self) -> None:
        """End the proxies and the services."""
        for proxy in self.proxies.values():
            proxy.close()
        super().close()

    def _stand(self, name: str, front: int | Path, behind: int | Path, dialect: Dialect) -> None:
        self.proxies = {**self.proxies, name: Proxy(front=front, behind=behind, dialect=dialect)}


@contextmanager
def standing_between() -> Iterator[None]:
    """Have every rehearsal that begins in this block start its services behind proxies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "Supervised", Between)
        yield


def elsewhere(service: Service, port: int) -> Service:
    """Return the same service on another port."""
    ready = service.ready
    match ready:
        case HttpReady():
            old = ready.port
            there: HttpReady | TcpReady = HttpReady(ready.url.replace(f":{old}/", f":{port}/", 1))
        case TcpReady():
            old, there = ready.port, TcpReady(port)
        case _:
            raise ValueError(f"{service.name} has no port")
    words = [_moved(word, old, port) for word in service.argv]
    if service.name in KNOWN_AS:
        option, address = KNOWN_AS[service.name]
        words += [option, address.format(old)]
    return replace(service, argv=tuple(words), ready=there)


def _moved(word: str, old: int, new: int) -> str:
    if word == str(old):
        return str(new)
    return f"{word.removesuffix(str(old))}{new}" if word.endswith(f":{old}") else word


def _renamed(socket: Path) -> tuple[Path, Path]:
    behind = socket.with_name(f"{socket.name}.behind")
    socket.rename(behind)
    return socket, behind
