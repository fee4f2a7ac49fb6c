"""Ports on 127.0.0.1 that nobody else has."""

from __future__ import annotations

import hashlib
import json
import random
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from sealift.errors import OutsideError
from sealift.model.codec import publish

LOOPBACK = "127.0.0.1"
_LOWEST = 20000
_REACH_SECONDS = 1.0
# When this process let go of a port, in monotonic seconds: whoever got it may not have bound it yet.
_let_go: dict[int, float] = {}
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class HeldPorts:
    """Ports that stay ours until ``release``, so that two runs never choose the same."""

    def __init__(self, sockets: Iterable[socket.socket]) -> None:
        self._sockets = list(sockets)
        self.numbers: tuple[int, ...] = tuple(s.getsockname()[1] for s in self._sockets)

    def release(self) -> tuple[int, ...]:
        """Let go of them, right before the services start, and return their numbers."""
        _let_go.update(dict.fromkeys(self.numbers, time.monotonic()))
        while self._sockets:
            self._sockets.pop().close()
        return self.numbers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def free_ports(count: int, *, avoid: Iterable[int] = ()) -> HeldPorts:
    """Hold ``count`` free ports, below those that the kernel gives to outgoing connections.

    A world keeps its ports over many runs; one from the kernel's own range would sooner or later be
    some connection's when the world comes back.
    """
    held: list[socket.socket] = []
    candidates = list(set(range(_LOWEST, _first_ephemeral())).difference(avoid))
    random.shuffle(candidates)
    # Who was given one binds it later, and others ask beside him: what was let go last comes last.
    candidates.sort(key=lambda port: _let_go.get(port, 0.0))
    for port in candidates:
        if len(held) == count:
            break
        if (bound := _bind(port)) is not None:
            held.append(bound)
    if len(held) < count:
        HeldPorts(held).release()
        raise OutsideError(
            f"there are no {count} free ports between {_LOWEST} and {_first_ephemeral()}",
            next_step="end what listens there: ss -ltn",
        )
    return HeldPorts(held)


def lasting_ports(file: Path, names: Sequence[str], *, claims: Path) -> dict[str, int]:
    """Return a port for each name: what the file remembers, and new ones for names that are new.

    ``claims`` is a folder that every world of this machine shares: what one has chosen no other gets,
    also while its services are down. A claim ends when the file that it was made for is gone.
    """
    known = _numbers(file)
    missing = [name for name in names if name not in known]
    claims.mkdir(parents=True, exist_ok=True)
    with FileLock(claims / "lock"):
        others = _claimed(claims, file)
        if missing:
            with free_ports(len(missing), avoid={*known.values(), *others}) as held:
                known |= dict(zip(missing, held.numbers, strict=True))
                publish(file, json.dumps(known, indent=1).encode())
        name = hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:32]
        publish(claims / f"{name}.json", json.dumps({"file": str(file.absolute())}).encode())
    return {name: known[name] for name in names}


def _numbers(file: Path) -> dict[str, int]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}


def _claimed(claims: Path, own: Path) -> set[int]:
    """Return the ports of every other world that is still there, and forget those that are not."""
    found: set[int] = set()
    for claim in claims.glob("*.json"):
        file = Path(json.loads(claim.read_text(encoding="utf-8"))["file"])
        if not file.exists():
            claim.unlink()
        elif file != own.absolute():
            found.update(_numbers(file).values())
    return found


def port_is_taken(port: int) -> bool:
    """Tell whether something on this machine listens on the port, holds it, or is sent what comes there."""
    if (bound := _bind(port, reuse=True)) is None:
        return True
    bound.close()
    return False


def _bind(port: int, *, reuse: bool = False) -> socket.socket | None:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # With it, as servers do, a port whose last connections are only fading away counts as free.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
    try:
        bound.bind((LOOPBACK, port))
        bound.listen()
        _reach(bound)
    except OSError:
        bound.close()
        return None
    return bound


def _reach(listening: socket.socket) -> None:
    """Raise ``OSError`` unless a connection to the socket's port comes to the socket.

    A port that can be bound may still lead elsewhere: an engine that was killed leaves the rules of the
    packet filter by which it had published a container's port.
    """
    listening.settimeout(_REACH_SECONDS)
    with socket.create_connection(listening.getsockname(), timeout=_REACH_SECONDS) as caller:
        # Ended by a reset: nothing of it stays to hold the port for a minute.
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ours = caller.getsockname()
        accepted, other = listening.accept()
    accepted.close()
    if other != ours:
        raise ConnectionError(f"another connection came from {other}")


def _first_ephemeral() -> int:
    try:
        return int(_RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 32768
