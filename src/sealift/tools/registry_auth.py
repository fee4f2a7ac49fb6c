"""How a registry lets us in: by a token that it tells where to get, or by user and password.

https://distribution.github.io/distribution/spec/auth/token/ and, for identity tokens, .../auth/oauth/
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import msgspec

from sealift.errors import OutsideError
from sealift.model.codec import decode
from sealift.tools.address import leaves_tls, plainly, secured
from sealift.tools.docker_login import Credentials, credentials
from sealift.tools.http import Answer, Http
from sealift.tools.registry_denied import refused

_OK = 200
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a token of the grammar of RFC 9110
_PIECE = re.compile(
    rf'(?P<name>{_TOKEN})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))|(?P<scheme>{_TOKEN})'
)


class Scope(NamedTuple):
    """What one token is for."""

    host: str
    path: str
    writes: bool

    @property
    def asked(self) -> str:
        """What a token server is asked for."""
        return f"repository:{self.path}:{'pull,push' if self.writes else 'pull'}"


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """One way that a server offers: its scheme and its parameters, both in lower case."""

    scheme: str
    told: Mapping[str, str]


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


class Login:
    """What is sent to be let in, remembered for each scope; threads may share it.

    An ``anonymous`` one asks for tokens as everybody may, and reads no configuration of docker.
    """

    def __init__(
        self,
        http: Http,
        *,
        plain_http: Sequence[str],
        env: Mapping[str, str] | None,
        anonymous: bool = False,
    ) -> None:
        self._http = http
        self._anonymous = anonymous
        self._plain = frozenset(plain_http)
        self._env = env
        self._lock = threading.Lock()
        self._known: dict[Scope, str] = {}

    def header(self, scope: Scope) -> str:
        """Return the Authorization header that was good before, or nothing."""
        return self._known.get(scope, "")

    def renew(self, scope: Scope, offered: str, refused: str) -> str:
        """Return another header after ``refused`` was, or nothing where there is none.

        ``offered`` is the WWW-Authenticate header of the answer. Raises OutsideError when a token could
        not be had.
        """
        # Threads that were refused together ask for one token, not for one each.
        with self._lock:
            known = self._known.get(scope, "")
            if known == refused:
                known = self._known[scope] = self._fetch(scope, offered)
        return "" if known == refused else known

    def forget(self, scope: Scope, header: str) -> None:
        """Ask for another token next time, unless another thread has one already."""
        with self._lock:
            if header.startswith("Bearer ") and self._known.get(scope) == header:
                del self._known[scope]

    def _fetch(self, scope: Scope, offered: str) -> str:
        ways = {challenge.scheme: challenge.told for challenge in challenges(offered)}
        who = None if self._anonymous else credentials(scope.host, self._env, path=scope.path)
        if "bearer" in ways:
            return f"Bearer {self._token(scope, ways['bearer'], who)}"
        if "basic" in ways and who is not None and not who.identity_token:
            return who.basic
        return ""

    def _token(self, scope: Scope, told: Mapping[str, str], who: Credentials | None) -> str:
        realm = self._trusted(scope, told.get("realm", ""))
        service = [("service", told["service"])] if "service" in told else []
        # Some registries offer less than the request needs: as go-containerregistry does, ask for both.
        scopes = tuple(dict.fromkeys((scope.asked, *told.get("scope", "").split())))
        if who is not None and who.identity_token:
            answer = self._traded(realm, [*service, ("scope", " ".join(scopes))], who)
        else:
            answer = self._got(realm, [*service, *(("scope", one) for one in scopes)], who)
        what = f"no token for {scope.host}/{scope.path} came"
        if answer.status != _OK:
            raise refused(answer, what, f"{scope.host}/{scope.path}", self._env)
        try:
            found = decode(answer.body, _Token)
        except msgspec.MsgspecError:
            # The words of the cause might hold a part of the token.
            found = _Token()
        if not (found.token or found.access_token):
            raise OutsideError(f"{what}: {answer.host} answered without one", next_step="run again")
        return found.token or found.access_token

    def _got(self, realm: str, asked: Sequence[tuple[str, str]], who: Credentials | None) -> Answer:
        joined = "&" if urlsplit(realm).query else "?"
        headers = {} if who is None else {"Authorization": who.basic}
        return self._http.ask("GET", f"{realm}{joined}{urlencode(asked)}", headers=headers)

    def _traded(self, realm: str, asked: Sequence[tuple[str, str]], who: Credentials) -> Answer:
        form = [("grant_type", "refresh_token"), ("client_id", "sealift"), ("refresh_token", who.secret)]
        body = urlencode([*asked, *form]).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._http.ask("POST", realm, headers=headers, body=body)

    def _trusted(self, scope: Scope, realm: str) -> str:
        """Return where to ask, by the rule of addresses: a realm of another host must be HTTPS."""
        registry = f"{'http' if scope.host in self._plain else 'https'}://{scope.host}/"
        try:
            url = secured(realm, registry)
            leaves = leaves_tls(url, registry)
        except ValueError as err:
            raise OutsideError(
                f"{scope.host} sends us for a token to an address that is none",
                means="its answer came cut off, or something on the way changed it",
                next_step="run again",
            ) from err
        if leaves:
            raise OutsideError(
                f"{scope.host} sends us for a token to an address that is not https: {plainly(url)}",
                means="anyone on the way to that address would have the login; it was not sent",
                next_step=f"report it to the operator of {scope.host}",
                again=False,
            )
        return url


def challenges(header: str) -> tuple[Challenge, ...]:
    """Read a WWW-Authenticate header: several ways may stand in one, parted by the commas that part all.

    https://www.rfc-editor.org/rfc/rfc9110#name-www-authenticate
    """
    found: list[tuple[str, dict[str, str]]] = []
    for piece in _PIECE.finditer(header):
        if piece["scheme"]:
            found.append((piece["scheme"].lower(), {}))
        elif found:
            value = piece["plain"] or re.sub(r"\\(.)", r"\1", piece["quoted"] or "")
            found[-1][1][piece["name"].lower()] = value
    return tuple(Challenge(scheme=scheme, told=told) for scheme, told in found)
