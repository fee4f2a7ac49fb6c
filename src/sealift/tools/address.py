"""Addresses in the answers of a service: one rule for what may be sent to them.

A login goes to the origin that it is for, and to no other: scheme, host and port are compared here, never by
a library's ``assert``. Anything else may go anywhere by HTTPS; without it only where the request before was
without it too, to the same host or to this machine.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from sealift.network import is_loopback

_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int | None]


def origin(url: str) -> Origin:
    """Return scheme, host and port; what is written and what is implied are the same."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def secured(url: str, asked: str) -> str:
    """Return an address for the host that was asked by HTTPS with HTTPS, also where it was written without.

    A registry behind a proxy that ends TLS builds its addresses from what the proxy passes on, which is plain
    HTTP, often without the port (distribution/distribution#996). A port of its own is another server's.
    """
    before, after = origin(asked), origin(url)
    downgraded = (before[0], after[0]) == ("https", "http") and before[1] == after[1]
    if not downgraded or after[2] not in {80, 443, before[2]}:
        return url
    return urlsplit(url)._replace(scheme="https", netloc=urlsplit(asked).netloc).geturl()


def leaves_tls(url: str, asked: str) -> bool:
    """Tell whether an address would show to a network what the address before did not."""
    before, after = origin(asked), origin(url)
    if after[0] == "https":
        return False
    stays = before[0] == after[0] == "http" and (after[1] == before[1] or is_loopback(after[1]))
    return not stays


def plainly(url: str) -> str:
    """Name an address without what may be a signature in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
