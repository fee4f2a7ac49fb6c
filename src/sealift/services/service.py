"""A service as a value: what to start, and how to ask whether it answers."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sealift.environment import environment_of
from sealift.errors import OutsideError
from sealift.places import shell_word
from sealift.services.ports import LOOPBACK

TAIL_LINES = 12
_PROBE_SECONDS = 1.0


@dataclass(frozen=True)
class HttpReady:
    """Ready when GET of the URL answers 200."""

    url: str

    @property
    def port(self) -> int:
        """The port that must be free before the start."""
        return urlsplit(self.url).port or 80

    def answers(self) -> bool:
        """Ask once."""
        parts = urlsplit(self.url)
        said = status_of(self.port, parts.path or "/", seconds=_PROBE_SECONDS, host=parts.netloc)
        return said == http.HTTPStatus.OK


@dataclass(frozen=True)
class TcpReady:
    """Ready when the port accepts a connection."""

    port: int

    def answers(self) -> bool:
        """Ask once."""
        try:
            socket.create_connection((LOOPBACK, self.port), timeout=_PROBE_SECONDS).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True)
class SocketReady:
    """Ready when the Unix socket accepts a connection."""

    path: Path

    def answers(self) -> bool:
        """Ask once; a socket that only root may open is ready when it is there."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_PROBE_SECONDS)
            try:
                asking.connect(str(self.path))
            except PermissionError:
                return True
            except OSError:
                return False
        return True


Readiness = HttpReady | TcpReady | SocketReady


@dataclass(frozen=True, kw_only=True)
class Service:
    """One program that runs beside us.

    ``env`` is added to what its program gets: a service sees none of the release's secrets.
    ``root`` asks for root's rights, through ``sudo -n`` where we do not have them.
    """

    name: str
    argv: tuple[str, ...]
    ready: Readiness
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    root: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """All that the service will find in its environment."""
        return environment_of(self.argv[0]) | dict(self.env)

    def last_words(self) -> str:
        """Return the end of its log."""
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(f"  | {line}" for line in lines[-TAIL_LINES:])


class ServiceError(OutsideError):
    """A service did not come up, or went away."""

    def __init__(self, service: Service, happened: str) -> None:
        said = service.last_words()
        taken = "address already in use" in said.lower()
        super().__init__(
            f"the service {service.name} {happened}" + (f"\n{said}" if said else ""),
            means="another program listens on its port" if taken else "",
            next_step="ss -ltnp shows who it is; end it and try again"
            if taken
            else f"read {shell_word(service.log)}",
        )


def status_of(port: int, path: str, *, seconds: float, host: str = "") -> int | str:
    """Ask a port on loopback once, and no proxy; return the status, or in words why there is none.

    ``host`` is the name that it is asked by, where that is not the address.
    """
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=seconds)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        with connection.getresponse() as answer:
            return answer.status
    except OSError as error:
        return str(error)
    except http.client.HTTPException as error:
        return f"no HTTP: {error!r:.100}"
    finally:
        connection.close()


def privileged(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs ``argv`` as root without asking for a password."""
    return tuple(argv) if os.geteuid() == 0 else ("sudo", "-n", "--", *argv)
