"""One exchange over HTTP, in this process: nothing is asked twice and no redirect is followed.

    http = Http(env={"NO_PROXY": "localhost"})
    answer = http.ask("GET", "http://localhost:5000/v2/", headers={})

Every status is an answer. What breaks on the way, or comes short, raises OutsideError.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from sealift import process
from sealift.errors import OutsideError
from sealift.model.codec import decode
from sealift.patience import passes, retry_after

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

# Seconds until a host must have taken the connection, between two parts of its answer, and for all of them.
CONNECT, READ, WHOLE = 10.0, 60.0, 300.0
# Connections kept for each host; more threads than that open their own.
KEPT = 16
# Bytes. Manifests, lists and bundles are far smaller; whoever sends more wants to fill our memory.
LIMIT = 32 << 20
_PART = 1 << 16
# Successes that may have a body, and the first status after every success.
_WITH_BODY, _REDIRECTED = frozenset({200, 201, 202}), 300
_LENGTH = frozenset({"content-length", "transfer-encoding"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came, whole; ``headers`` are found in any case. ``secret`` is what was sent to be let in."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    secret: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Who answered; never more of the address, which may hold a signature."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


class _Said(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct, frozen=True):
    errors: list[_Said]


class Http:
    """A pool of connections for each way out; threads may share it.

    ``env`` replaces the environment: its HTTP_PROXY, HTTPS_PROXY and NO_PROXY say which way.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._env = os.environ if env is None else env
        self._lock = threading.Lock()
        self._ways: dict[str, PoolManager] = {}

    def ask(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Send one request and read its answer to the end."""
        import urllib3

        process.go_on()
        try:
            came = self._way(url).request(
                method,
                url,
                body=body,
                headers={"User-Agent": "sealift", **headers},
                redirect=False,
                retries=False,
                preload_content=False,
            )
            read = _whole(came)
        except urllib3.exceptions.HTTPError as err:
            raise _broken(err, url) from err
        # Without its length, an answer that was cut off could not be told from a whole one; of one that was
        # cut off in its head no header can be believed.
        named = {name.lower() for name in came.headers}
        if method != "HEAD" and came.status in _WITH_BODY and not _LENGTH & named:
            raise _broken(EOFError("the answer does not say where it ends"), url)
        secret = headers.get("Authorization", "").partition(" ")[2]
        return Answer(url=url, status=came.status, headers=came.headers, body=read, secret=secret)

    def _way(self, url: str) -> PoolManager:
        proxy = proxy_of(url, self._env)
        with self._lock:
            if proxy not in self._ways:
                self._ways[proxy] = _pool(proxy)
            return self._ways[proxy]


def proxy_of(url: str, env: Mapping[str, str]) -> str:
    """Return the proxy that an address is asked through, or nothing; this machine is asked directly."""
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    parts = urlsplit(url)
    told = {name.lower(): value for name, value in env.items() if name.lower().endswith("_proxy")}
    proxies = {"no": told.get("no_proxy", "")}
    if parts.hostname in _LOOPBACK or proxy_bypass_environment(parts.netloc, proxies):
        return ""
    return told.get(f"{parts.scheme}_proxy", "")


def refusal(answer: Answer, what: str) -> OutsideError:
    """Make an error of an answer that is no success: whether to ask again, and after how long."""
    said = " ".join(filter(None, (str(answer.status), _words(answer))))
    # A success that is not the one of this question is nobody's no: a page of somebody on the way.
    again = passes(answer.status) or answer.status < _REDIRECTED
    return OutsideError(
        f"{what}: {answer.host} answered {said}",
        means="it may answer otherwise later" if again else "it will say the same when it is asked again",
        next_step="run again" if again else "check the name, and who may do this there",
        again=again,
        retry_after=retry_after(answer.headers),
    )


def _pool(proxy: str) -> PoolManager:
    import urllib3

    timeout = urllib3.Timeout(connect=CONNECT, read=READ)
    if not proxy:
        return urllib3.PoolManager(maxsize=KEPT, timeout=timeout)
    auth = urllib3.util.parse_url(proxy).auth
    headers = urllib3.make_headers(proxy_basic_auth=auth) if auth else None
    return urllib3.ProxyManager(proxy, maxsize=KEPT, timeout=timeout, proxy_headers=headers)


def _whole(came: BaseHTTPResponse) -> bytes:
    read, ends = bytearray(), time.monotonic() + WHOLE
    while part := came.read1(_PART):
        read += part
        if len(read) > LIMIT or time.monotonic() > ends:
            came.close()
            raise _endless(too_much=len(read) > LIMIT)
    came.release_conn()
    return bytes(read)


def _endless(*, too_much: bool) -> OutsideError:
    if too_much:
        return OutsideError(
            f"more than {LIMIT >> 20} MiB came where a manifest or a bundle was expected", again=False
        )
    return OutsideError(f"an answer did not end within {WHOLE:g} s", next_step="run again")


def _broken(err: Exception, url: str) -> OutsideError:
    import ssl

    # A certificate that is not believed is no accident of the line.
    again = not any(isinstance(arg, ssl.SSLCertVerificationError) for arg in err.args)
    return OutsideError(
        f"{urlsplit(url).netloc.rpartition('@')[2]} did not answer as it should: {type(err).__name__}: {err}",
        means="nothing was said, neither yes nor no",
        next_step="run again when it answers",
        again=again,
    )


def _words(answer: Answer) -> str:
    """Return what a registry says to people; it may repeat what we sent, and that is kept out."""
    try:
        found = decode(answer.body, _Errors).errors
    except msgspec.MsgspecError:
        return ""
    said = "; ".join(": ".join(filter(None, (e.code, e.message[:200]))) for e in found[:3])
    return said.replace(answer.secret, "***") if answer.secret else said
