"""Sending on a socket as somebody who fails does."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time

# Long enough for loopback to deliver what was sent before the reset.
_DELIVERED = 0.02
PIECES = 10
# The same bytes in every run, and no HTTP, TLS or HTTP/2 in them.
GARBAGE = bytes(byte | 0x80 for byte in random.Random(7).randbytes(512))  # noqa: S311 - no secret


def reset(connection: socket.socket) -> None:
    """Have the connection end with a reset, not a FIN, when it is closed."""
    time.sleep(_DELIVERED)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def dribble(connection: socket.socket, data: bytes, *, seconds: float, over: threading.Event) -> None:
    """Send in pieces that take ``seconds`` together; the rest comes at once when the fault is over."""
    size = max(1, -(-len(data) // PIECES))
    for start in range(0, len(data), size):
        over.wait(seconds / PIECES)
        connection.sendall(data[start : start + size])


def flipped(data: bytes) -> bytes:
    """Change one bit in the middle."""
    if not data:
        return data
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
