"""An answer's limits as a whole, in bytes and seconds: a server may stay within every timeout, and never end.

It may send a byte at a time, answer "continue" again and again, or pack nothing into ever more of gzip.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sealift.errors import OutsideError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

# Seconds for the head of an answer, and for its body.
HEAD, WHOLE = 120.0, 300.0
# Bytes per second that a large answer must reach, beside those seconds.
SLOWEST = 1 << 20
# Bytes. Manifests, lists and bundles are far smaller; a server that sends more wants to fill our memory.
LIMIT = 32 << 20
_PART = 1 << 16


def whole(came: BaseHTTPResponse, limit: int = LIMIT, seconds: float | None = None) -> bytes:
    """Read a body to its end, unpacked; OutsideError where there is more of it than that."""
    read = bytearray()
    _read(came, read.extend, limit, WHOLE if seconds is None else seconds)
    return bytes(read)


def into(came: BaseHTTPResponse, write: Callable[[bytes], object], limit: int) -> bytes:
    """Read a large body part by part into ``write``, and return no bytes."""
    _read(came, write, limit, WHOLE + limit / SLOWEST)
    return b""


def _read(came: BaseHTTPResponse, write: Callable[[bytes], object], limit: int, seconds: float) -> None:
    size = 0
    with _within(seconds, came.shutdown):
        while part := came.read1(_PART, decode_content=True):
            size += len(part)
            if size > limit:
                came.close()
                most = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes"
                raise OutsideError(f"an answer holds more than {most}, the most that is read", again=False)
            write(part)
    came.release_conn()


def bounded(manager: PoolManager) -> PoolManager:
    """Have a pool's connections give up where the head of an answer does not end."""
    manager.pool_classes_by_scheme = {
        scheme: _bounded(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


@functools.cache
def _bounded(pool: type[Any]) -> type[Any]:
    class Connection(pool.ConnectionCls):  # type: ignore[misc, name-defined]
        def getresponse(self) -> Any:
            with _within(HEAD, functools.partial(self.sock.shutdown, 2)):
                return super().getresponse()

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


@contextmanager
def _within(seconds: float, end: Callable[[], object]) -> Iterator[None]:
    """End a connection from another thread after some seconds: ours waits in a library for more to come."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        with suppress(OSError, ValueError, RuntimeError):
            end()

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as err:
        if late.is_set():
            raise _late(seconds) from err
        raise
    finally:
        timer.cancel()
    if late.is_set():
        raise _late(seconds)


def _late(seconds: float) -> OutsideError:
    return OutsideError(f"an answer did not end within {seconds:g} s", next_step="run again")
