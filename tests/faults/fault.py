"""What goes wrong outside, as values: which requests, in which way, how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, as the proxy saw it: headers have lower-case names, a path its query.

    Behind a Unix socket it is one connection.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def writes(self) -> bool:
        """Tell whether it changes something."""
        return self.method not in ("GET", "HEAD", "")


Match = Callable[[Request], bool]


def everything(_: Request) -> bool:
    """Match every request."""
    return True


def writes(request: Request) -> bool:
    """Match what changes something."""
    return request.writes


class Kind(StrEnum):
    """How it fails. The values are the table's words."""

    REFUSED = "refused connection"
    RESET = "reset in mid-body"
    LOST = "answer lost"
    STATUS = "status"
    SILENT = "no answer"
    SLOW_FIRST = "slow first byte"
    SLOW_BODY = "slow body"
    TRUNCATED = "truncated body"
    WRONG = "wrong bytes"
    GARBAGE = "garbage"
    PAGE = "a page of HTML with 200"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer, whole, before anything is done to it. ``bodiless`` is that of a HEAD request."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    bodiless: bool = False

    @property
    def head(self) -> bytes:
        """Its first lines, as they go over the wire."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to fail, for the first ``times`` requests that match, or for all of them; ``skip`` go before.

    ``code`` and ``retry_after`` (seconds) belong to STATUS, ``seconds`` to what is slow: how long the
    first byte is held back, or the whole body takes. With ``lasts`` it is over after so many seconds.
    SILENT holds an answer back until the fault is over. With ``reply`` a STATUS is said in other words than
    the service's.
    """

    kind: Kind
    code: int = 0
    retry_after: int | None = None
    seconds: float = 1.0
    match: Match = everything
    skip: int = 0
    times: int | None = None
    lasts: float | None = None
    reply: Reply | None = None

    def __str__(self) -> str:
        if self.kind is not Kind.STATUS:
            return str(self.kind)
        later = "" if self.retry_after is None else f" with Retry-After: {self.retry_after}"
        return f"{self.code}{later}"


# How a service says no: the body of an answer with this status, and its headers.
Dialect = Callable[[int], Reply]
