"""The network policy: by which way everything leaves this machine, and which authorities it trusts.

    env = child_env("regctl")                      # the environment of a program that fetches something
    proxy = proxy_for("https://ghcr.io/v2/", env)  # None: connect directly
    context = tls(env)                             # for our own clients

Most programs here are written in Go, so the rules are Go's (golang.org/x/net/http/httpproxy), and what curl
knows beyond them: ALL_PROXY, and spaces in NO_PROXY. A program gets the result in both spellings, so that
all of them do the same. This machine itself is never reached through a proxy.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from sealift.environment import environment_of
from sealift.errors import OutsideError, UsageError
from sealift.patience import passes

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
# Every name of this machine's own address; some programs compare names, others know networks.
LOOPBACK = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
# Whom to trust: Go and OpenSSL read the first two, Python's clients and curl the next two.
_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_FOLDERS = "SSL_CERT_DIR"
_PLACES = (*_FILES, _FOLDERS, "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")
_PORTS = {"http": 80, "https": 443}
_SCHEMES = frozenset({"http", "https", "socks", "socks5", "socks5h"})
_STARS = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,2})(?:\.\*)+")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]+-----END CERTIFICATE-----")
# How Go's clients report what a proxy did: no connection to it, and its own answer in place of a tunnel.
_GO_PROXY = re.compile(r"proxyconnect|socks connect|Proxy Authentication Required")
_GO_TUNNEL = re.compile(r'(?:Get|Head|Post|Put|Patch) "https://[^"]*": (?P<why>[A-Z][\w -]+?)\s*(?:$|[;,\n])')
# The certificate of a proxy that is spoken to by HTTPS.
_UNTRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED|failed to verify certificate")
_REASONS = {status.phrase: status.value for status in HTTPStatus}
_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d{3})")


class ProxyFailedError(OutsideError):
    """A proxy gave no connection: the server behind it was not reached."""


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One proxy and the variable that names it. Its login is in ``url`` alone, never in ``shown``."""

    variable: str
    scheme: str
    host: str
    port: int | None
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """The whole address, for clients and programs."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@"
        login = "" if login == ":@" else login
        return f"{self.scheme}://{login}{self.shown}"

    @property
    def shown(self) -> str:
        """Its place alone, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def authorization(self) -> str:
        """The value of a Proxy-Authorization header, or nothing."""
        login = f"{self.user}:{self.password}"
        return "" if login == ":" else f"Basic {base64.b64encode(login.encode()).decode()}"

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS 5, and no HTTP."""
        return self.scheme.startswith("socks")

    def failure(self, host: str, said: str, status: int | None = None) -> ProxyFailedError:
        """Make the error for a connection to ``host`` that this proxy did not give."""
        named = f"the proxy {self.shown} ({self.variable})"
        found = _TUNNEL_STATUS.search(said)
        status = int(found[1]) if found and status is None else status
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return ProxyFailedError(
                f"{named} asks for a login before it connects to {host}: {said}",
                means="its address names no user and password, or not the right ones",
                next_step=f"export {self.variable}=http://USER:PASSWORD@{self.shown}",
                again=False,
            )
        what = "gave no connection" if status is None else f"answered {status} in place of a connection"
        return ProxyFailedError(
            f"{named} {what} to {host}: {said}",
            means=f"{host} itself was not reached",
            next_step=f"check {self.variable}; NO_PROXY={host} connects to it directly",
            again=passes(status) if status else not _UNTRUSTED.search(said),
        )


def proxy_for(url: str, env: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy for an address, None where it is reached directly.

    Raises UsageError where the variable that counts for it names no proxy that can be used.
    """
    told, parts = _environment(env), urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in _PORTS or not host or is_loopback(host):
        return None
    if _bypasses(host, parts.port or _PORTS[parts.scheme], _no_proxy(told)):
        return None
    return _proxy(told, f"{parts.scheme.upper()}_PROXY")


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address is this machine's own: RFC 6761 reserves all of ``.localhost``."""
    if (address := _address(host)) is None:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
    return address.is_loopback


def settings(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the network settings as they are written, for an environment that later makes a program's."""
    spelled = {s for name in (*PROXY_VARIABLES, "NO_PROXY") for s in (name, name.lower())}
    return {k: v for k, v in _environment(env).items() if k in spelled or k in _PLACES}


def child_env(
    program: str | Sequence[str | os.PathLike[str]], env: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return what a program that fetches something gets of an environment: its row, and the ways out."""
    told = _environment(env)
    return environment_of(program, told) | network_env(told)


def network_env(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the network settings alone, for a program that must get nothing else.

    Proxies come with their scheme and in both spellings, ALL_PROXY where no other is named, this machine is
    in NO_PROXY, and places of certificates are absolute. Raises UsageError for a proxy that cannot be used.
    """
    told = _environment(env)
    proxies = {proxy_name: proxy.url for proxy_name, proxy in _proxies(told).items()}
    if (direct := _no_proxy(told)) or proxies:
        proxies["NO_PROXY"] = "*" if "*" in direct else ",".join(dict.fromkeys((*direct, *LOOPBACK)))
    passed = {name: _absolute(told[name]) for name in _PLACES if told.get(name)}
    # Go knows only SSL_CERT_FILE and SSL_CERT_DIR.
    if place := next((passed[name] for name in _FILES if name in passed), ""):
        passed.setdefault(_FOLDERS if Path(place).is_dir() else _FILES[0], place)
    both = {spelled: value for name, value in proxies.items() for spelled in (name, name.lower())}
    return both | passed


def check(env: Mapping[str, str] | None = None) -> None:
    """Raise UsageError for a setting that cannot be used, before anything is sent by it."""
    told = _environment(env)
    network_env(told)
    authorities(told)


def authorities(env: Mapping[str, str] | None = None) -> str:
    """Return the certificates of every authority that is trusted, as PEM.

    As Go does, SSL_CERT_FILE replaces the system's file, and SSL_CERT_DIR the system's folder; every file
    in a folder counts, whatever its name. OpenSSL alone would look for names that are hashes.
    """
    told = _environment(env)
    file = next((name for name in _FILES if told.get(name)), "")
    folder = told.get(_FOLDERS, "")
    # To Python's clients a bundle may be a folder, to Go and OpenSSL never.
    if file in _FILES[1:] and Path(told[file]).is_dir():
        return _authorities("", "", file, folder or told[file])
    return _authorities(file, told.get(file, ""), _FOLDERS if folder else "", folder)


def tls(env: Mapping[str, str] | None = None) -> ssl.SSLContext:
    """Return the TLS settings for connections to servers; threads may share them."""
    return _context(authorities(env))


def blamed(what: str, said: str, env: Mapping[str, str] | None = None) -> ProxyFailedError | None:
    """Make an error of a Go program's words where a proxy is at fault, else None."""
    told = _environment(env)
    proxies = {proxy.shown: proxy for proxy in _proxies(told).values()}
    statuses = [_REASONS[found["why"]] for found in _GO_TUNNEL.finditer(said) if found["why"] in _REASONS]
    asks = "Proxy Authentication Required" in said
    if not proxies or not (_GO_PROXY.search(said) or statuses):
        return None
    names = ", ".join(f"{proxy.shown} ({proxy.variable})" for proxy in proxies.values())
    return ProxyFailedError(
        f"{what}: the proxy {names} {'asks for a login' if asks else 'gave no connection'}",
        means=without_logins(said, told),
        next_step=f"check {' and '.join(proxy.variable for proxy in proxies.values())}",
        again=not (asks or _UNTRUSTED.search(said)) and all(passes(status) for status in statuses),
    )


def without_logins(text: str, env: Mapping[str, str] | None = None) -> str:
    """Return a text without the logins of the proxies."""
    told = _environment(env)
    for name in PROXY_VARIABLES:
        for value in {told.get(name, ""), told.get(name.lower(), "")}:
            login = value.rpartition("@")[0].rpartition("://")[2]
            for secret in (login, login.partition(":")[2], unquote(login.partition(":")[2])):
                text = text.replace(secret, "***") if secret else text
    return text


def _environment(env: Mapping[str, str] | None) -> Mapping[str, str]:
    return os.environ if env is None else env


def _named(env: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return how a variable is spelled here, and its value; as for Go, the upper case counts first."""
    spelled = next((s for s in (name, name.lower()) if env.get(s, "").strip()), name)
    return spelled, env.get(spelled, "").strip()


def _proxy(env: Mapping[str, str], name: str) -> Proxy | None:
    variable, text = _named(env, name)
    if not text and name != "ALL_PROXY":
        variable, text = _named(env, "ALL_PROXY")
    return _parsed(variable, text) if text else None


def _proxies(env: Mapping[str, str]) -> dict[str, Proxy]:
    """Return the proxies that count, by the variable that a program reads; ALL_PROXY fills a gap."""
    special = [name for name in PROXY_VARIABLES[:2] if _named(env, name)[1]]
    names = PROXY_VARIABLES[:2] if len(special) == len(PROXY_VARIABLES[:2]) else PROXY_VARIABLES
    return {name: proxy for name in names if (proxy := _proxy(env, name)) is not None}


@lru_cache
def _parsed(variable: str, text: str) -> Proxy:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        # The words of the cause may hold a part of the password.
        raise _unusable(variable, "its host or port cannot be read") from None
    if parts.scheme not in _SCHEMES:
        why = f"{parts.scheme}:// is not supported" if parts.scheme else "it is not a URL"
        raise _unusable(variable, why)
    if not host or re.search(r"[\s\"'<>]", host):
        raise _unusable(variable, "it names no host")
    return Proxy(
        variable=variable,
        # As in Go the proxy resolves names, which a closed network cannot. GNOME writes socks://.
        scheme="socks5h" if parts.scheme.startswith("socks") else parts.scheme,
        host=host,
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def _unusable(variable: str, why: str) -> UsageError:
    return UsageError(
        f"the proxy in {variable} cannot be used: {why}",
        means="supported: HOST:PORT, http://, https://, socks5://; a password has %40 for @, %2F for /",
        next_step=f"export {variable}=http://HOST:PORT, or unset {variable}",
    )


def _no_proxy(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return NO_PROXY's entries as Go reads them, which knows a star alone and before a domain."""
    entries = re.split(r"[,\s]+", _named(env, "NO_PROXY")[1].lower())
    return tuple(_as_network(entry) for entry in entries if entry)


def _as_network(entry: str) -> str:
    """Write ``10.0.*`` as the network that it means."""
    if (found := _STARS.fullmatch(entry)) is None:
        return entry
    numbers = found[1].split(".")
    return f"{'.'.join((*numbers, *('0',) * (4 - len(numbers))))}/{8 * len(numbers)}"


def _bypasses(host: str, port: int, entries: tuple[str, ...]) -> bool:
    address = _address(host)
    return any(entry == "*" or _matches(entry, host.lower(), address, port) for entry in entries)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(host: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _matches(entry: str, host: str, address: _Address | None, port: int) -> bool:
    """Tell whether one entry of NO_PROXY covers a host: a network, an address, or a domain."""
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    name, wanted = entry, ""
    # A colon parts a port off, unless the entry is an address of many colons.
    if found := re.fullmatch(r"(\[.*\]|[^:]*):([0-9]{1,5})", entry):
        name, wanted = found[1], found[2]
    if wanted and int(wanted) != port:
        return False
    if (alone := _address(name)) is not None:
        return alone == address
    domain = name.removeprefix("*").rstrip(".")
    if domain.startswith("."):
        return host.endswith(domain) and domain != "."
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _absolute(places: str) -> str:
    return os.pathsep.join(str(Path(place).absolute()) for place in places.split(os.pathsep) if place)


@lru_cache
def _authorities(file_variable: str, file: str, folder_variable: str, folders: str) -> str:
    system = ssl.get_default_verify_paths()
    found: dict[str, None] = {}
    if file:
        found |= _certificates(file_variable, Path(file))
    elif Path(system.openssl_cafile).is_file():
        found |= _certificates("", Path(system.openssl_cafile))
    places = [Path(place) for place in (folders or system.openssl_capath).split(os.pathsep) if place]
    if folders and not any(place.is_dir() for place in places):
        raise _no_authorities(folder_variable, folders, "is not a folder")
    for path in (path for place in places if place.is_dir() for path in sorted(place.iterdir())):
        found |= dict.fromkeys(_in_file(path))
    if not found:
        # A Python that was built elsewhere may not know where this system keeps them.
        import certifi

        found |= dict.fromkeys(_in_file(Path(certifi.where())))
    return "\n".join((*found, ""))


def _certificates(variable: str, file: Path) -> dict[str, None]:
    found = dict.fromkeys(_in_file(file))
    if variable and not file.is_file():
        raise _no_authorities(variable, str(file), "is not a file")
    if variable and not any(_loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), one) for one in found):
        raise _no_authorities(variable, str(file), "holds no certificate, or cannot be read")
    return found


def _in_file(path: Path) -> Iterator[str]:
    try:
        yield from _PEM.findall(path.read_text(encoding="ascii", errors="replace"))
    except OSError:
        return


def _no_authorities(variable: str, place: str, why: str) -> UsageError:
    return UsageError(
        f"{variable} is {place}, which {why}",
        means="no server's certificate could be checked",
        next_step=f"export {variable}=PLACE, or unset {variable} to trust what the system trusts",
    )


@lru_cache
def _context(pem: str) -> ssl.SSLContext:
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    # One that OpenSSL cannot read spoils all of them together, so then they come one by one, as in Go.
    if not _loaded(context, pem):
        for certificate in _PEM.findall(pem):
            _loaded(context, certificate)
    return context


def _loaded(context: ssl.SSLContext, pem: str) -> bool:
    try:
        context.load_verify_locations(cadata=pem)
    except ssl.SSLError:
        return False
    return True
