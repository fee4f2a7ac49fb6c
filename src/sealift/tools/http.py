"""One exchange over HTTP, in this process: nothing is asked twice and no redirect is followed.

    http = Http(env={"NO_PROXY": "localhost"})
    answer = http.ask("GET", "http://localhost:5000/v2/", headers={})

Every status is an answer. What breaks on the way, or comes short, raises OutsideError.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from sealift import network, process
from sealift.errors import OutsideError
from sealift.model.codec import decode
from sealift.patience import passes, retry_after
from sealift.tools.http_limits import LIMIT, bounded, into, whole

if TYPE_CHECKING:
    import requests
    from urllib3 import PoolManager

# Seconds until a host must have taken the connection, and between two parts of its answer.
CONNECT, READ = 10.0, 60.0
# Connections kept for each host; more threads than that open their own.
KEPT = 16
# Successes that may have a body, and the first status after every success.
_WITH_BODY, _REDIRECTED = frozenset({200, 201, 202}), 300
_LENGTH = frozenset({"content-length", "transfer-encoding"})
# What an answer may be packed in although nothing was asked for: urllib3 unpacks these everywhere.
_UNPACKED = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})


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


@dataclass(frozen=True, kw_only=True)
class Sink:
    """Where the parts of a large answer go instead of memory, and how many bytes are read at most."""

    write: Callable[[bytes], object]
    limit: int


class _Said(msgspec.Struct, frozen=True):
    code: str = ""
    message: str = ""


class _Errors(msgspec.Struct, frozen=True):
    errors: list[_Said]


class Http:
    """A pool of connections for each way out; threads may share it.

    ``env`` replaces the environment, whose network settings count. ``connect`` and ``read`` are the seconds
    that a server has; ``limit`` is the most that an answer may hold, in bytes.
    """

    def __init__(
        self,
        env: Mapping[str, str] | None = None,
        *,
        connect: float = CONNECT,
        read: float = READ,
        limit: int = LIMIT,
    ) -> None:
        self._env = os.environ if env is None else env
        self._connect, self._read, self._limit = connect, read, limit
        self._lock = threading.Lock()
        self._ways: dict[tuple[str, network.Proxy | None], PoolManager] = {}

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        sink: Sink | None = None,
    ) -> Answer:
        """Send one request and read its answer to the end; a ``sink`` takes the body of a 200."""
        import urllib3

        process.go_on()
        proxy = network.proxy_for(url, self._env)
        try:
            came = self._way(urlsplit(url).scheme, proxy).request(
                method,
                url,
                body=body,
                headers={"User-Agent": "sealift", **headers},
                redirect=False,
                retries=False,
                preload_content=False,
            )
            to = sink if came.status == HTTPStatus.OK else None
            read = whole(came, self._limit) if to is None else into(came, to.write, to.limit)
        except urllib3.exceptions.HTTPError as err:
            raise _broken(err, url, proxy) from err
        if proxy is not None and came.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise proxy.failure(_host(url), came.reason or "", came.status)
        # Without its length, an answer that was cut off could not be told from a whole one; of one that was
        # cut off in its head no header can be believed.
        named = {name.lower() for name in came.headers}
        if method != "HEAD" and came.status in _WITH_BODY and not _LENGTH & named:
            raise _broken(EOFError("the answer does not say where it ends"), url, proxy)
        packed = {kind.strip().lower() for kind in came.headers.get("Content-Encoding", "").split(",")}
        if method == "GET" and came.status == HTTPStatus.OK and packed - _UNPACKED:
            raise OutsideError(
                f"{_host(url)} answered in the encoding {', '.join(sorted(packed - _UNPACKED))}",
                means="no encoding was requested, and this one cannot be unpacked here",
                next_step="configure the server, or the proxy before it, not to compress these answers",
                again=False,
            )
        secret = headers.get("Authorization", "").partition(" ")[2]
        return Answer(url=url, status=came.status, headers=came.headers, body=read, secret=secret)

    def _way(self, scheme: str, proxy: network.Proxy | None) -> PoolManager:
        with self._lock:
            if (scheme, proxy) not in self._ways:
                self._ways[scheme, proxy] = bounded(self._pool(scheme, proxy))
            return self._ways[scheme, proxy]

    def _pool(self, scheme: str, proxy: network.Proxy | None) -> PoolManager:
        import urllib3

        # Reading whom to trust takes a moment, which plain HTTP on this machine can spare.
        needed = scheme == "https" or (proxy is not None and proxy.scheme == "https")
        context = network.tls(self._env) if needed else None
        timeout = urllib3.Timeout(connect=self._connect, read=self._read)
        if proxy is None:
            return urllib3.PoolManager(maxsize=KEPT, timeout=timeout, ssl_context=context)
        if proxy.is_socks:
            from urllib3.contrib.socks import SOCKSProxyManager

            return SOCKSProxyManager(proxy.url, maxsize=KEPT, timeout=timeout, ssl_context=context)
        login = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else None
        return urllib3.ProxyManager(
            f"{proxy.scheme}://{proxy.shown}",
            maxsize=KEPT,
            timeout=timeout,
            proxy_headers=login,
            ssl_context=context,
            proxy_ssl_context=context,
        )


def follow_policy(
    session: requests.Session,
    env: Mapping[str, str] | None = None,
    *,
    timeout: tuple[float, float] = (CONNECT, READ),
) -> None:
    """Have a session of a library connect as ``Http`` does: proxies, trust, limits, and timeouts.

    Bodies are read before the library sees them. A ``.netrc`` is not read: its login would take the place of
    the library's own.
    """
    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **told: Any) -> None:
            super().init_poolmanager(*args, **told)
            bounded(self.poolmanager)

        def send(self, request: requests.PreparedRequest, **told: Any) -> requests.Response:  # type: ignore[override]
            url = str(request.url)
            proxy = network.proxy_for(url, env)
            told["timeout"] = told.get("timeout") or timeout
            told["proxies"] = {} if proxy is None else {urlsplit(url).scheme: proxy.url}
            try:
                answer = super().send(request, **told)
            except requests.ConnectionError as err:
                if proxy is not None and _is_of_proxy(err, proxy):
                    raise proxy.failure(_host(url), cause(err)) from err
                raise
            if proxy is not None and answer.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                raise proxy.failure(_host(url), answer.reason or "", answer.status_code)
            return _read(answer)

        def build_connection_pool_key_attributes(self, *args: Any) -> tuple[dict[str, Any], dict[str, Any]]:
            host, _ = super().build_connection_pool_key_attributes(*args)
            return host, {"ssl_context": network.tls(env)} if host["scheme"] == "https" else {}

        def proxy_manager_for(self, proxy: str, **told: Any) -> Any:
            own = {"proxy_ssl_context": network.tls(env)} if proxy.startswith("https") else {}
            return bounded(super().proxy_manager_for(proxy, **own, **told))

        def cert_verify(self, *_: Any) -> None:
            """Leave it to the context, which always asks for a certificate."""

    session.trust_env = False
    for scheme in ("https://", "http://"):
        session.mount(scheme, Adapter())


def _read(answer: requests.Response) -> requests.Response:
    """Read a body as the library would, but to an end."""
    import requests
    import urllib3

    try:
        answer._content = whole(answer.raw)  # noqa: SLF001
    except urllib3.exceptions.HTTPError as err:
        raise requests.ConnectionError(err, request=answer.request) from err
    answer._content_consumed = True  # noqa: SLF001
    return answer


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


def _broken(err: Exception, url: str, proxy: network.Proxy | None) -> OutsideError:
    import ssl

    if proxy is not None and _is_of_proxy(err, proxy):
        return proxy.failure(_host(url), cause(err))
    # A certificate that is not believed is no accident of the line.
    again = not any(isinstance(arg, ssl.SSLCertVerificationError) for arg in err.args)
    through = "" if proxy is None else f" through the proxy {proxy.shown} ({proxy.variable})"
    return OutsideError(
        f"{_host(url)} did not answer as it should{through}: {type(err).__name__}: {err}",
        means="nothing was said, neither yes nor no",
        next_step="run again when it answers"
        if again
        else "export SSL_CERT_FILE=FILE, with the certificate of the authority that your network uses",
        again=again,
    )


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _is_of_proxy(err: BaseException, proxy: network.Proxy) -> bool:
    """Tell whether the way ended at the proxy; behind SOCKS no connection at all is the proxy's word."""
    import requests
    import urllib3

    kinds = (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)
    lost = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return any(isinstance(one, kinds) or (proxy.is_socks and isinstance(one, lost)) for one in _chain(err))


def cause(err: BaseException) -> str:
    """Return the kind of an error, and the words of what is at its root."""
    *_, last = _chain(err)
    name = next((type(one).__name__ for one in _chain(err) if "Proxy" in type(one).__name__), "")
    return f"{name or type(last).__name__}: {last}"


def _chain(err: BaseException) -> Iterator[BaseException]:
    """Walk from an error to what is at its root: libraries keep it as an argument, a reason or a cause."""
    seen: set[int] = set()
    following: BaseException | None = err
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        inside = [getattr(following, "reason", None), getattr(following, "original_error", None)]
        causes = [*following.args, *inside, following.__cause__, following.__context__]
        following = next((one for one in causes if isinstance(one, BaseException)), None)


def _words(answer: Answer) -> str:
    """Return what a registry says to people; it may repeat what we sent, and that is kept out."""
    try:
        found = decode(answer.body, _Errors).errors
    except msgspec.MsgspecError:
        return ""
    said = "; ".join(": ".join(filter(None, (e.code, e.message[:200]))) for e in found[:3])
    return said.replace(answer.secret, "***") if answer.secret else said
