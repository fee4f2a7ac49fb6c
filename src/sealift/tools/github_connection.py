"""How GitHub is reached: to which hosts its token may go, and what PyGithub leaves open on a connection.

PyGithub compares the host of an address in an answer (``upload_url``, the next page, a redirect) with an
``assert``, which PYTHONOPTIMIZE removes, and does not compare scheme and port. So the token carries the
origins that it is for, and no connection to another one sends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from sealift.errors import OutsideError
from sealift.tools.address import Origin, origin, plainly
from sealift.tools.http import follow_policy

if TYPE_CHECKING:
    from github.Auth import Auth

TIMEOUT = 60
_UNANSWERED = frozenset({302, 303, 307, 308})


class BoundToken(str):  # noqa: SLOT000 - it holds one more value
    """An Authorization header that knows where it may go; any other string may go nowhere."""

    origins: frozenset[Origin]


def origins(api: str) -> frozenset[Origin]:
    """Return where GitHub takes a token: its API, and the host that takes uploads.

    That is uploads.github.com beside api.github.com, uploads.NAME.ghe.com beside api.NAME.ghe.com, and on a
    server of one's own the same host, or with subdomain isolation uploads.HOST.
    """
    scheme, host, port = origin(api)
    uploads = f"uploads.{host.removeprefix('api.')}"
    return frozenset({(scheme, host, port), (scheme, uploads, port)})


def bound(token: str, api: str) -> Auth:
    """Make the login of one GitHub."""
    import github

    class Bound(github.Auth.Token):
        def authentication(self, headers: dict[str, Any]) -> None:
            super().authentication(headers)
            headers["Authorization"] = header = BoundToken(headers["Authorization"])
            header.origins = origins(api)

    return Bound(token)


def checked(headers: Mapping[str, str], url: str) -> None:
    """Raise OutsideError before a token goes to a host that is not its own."""
    told = headers.get("Authorization")
    if told is not None and origin(url) not in getattr(told, "origins", ()):
        raise foreign(plainly(url))


def answered(status: int, headers: Mapping[str, str], asked: str) -> None:
    """Raise OutsideError for a redirect that PyGithub would take for an empty answer; it follows a 301."""
    if status not in _UNANSWERED:
        return
    named = {name.lower(): value for name, value in headers.items()}.get("location", "")
    place = urljoin(asked, named)
    if origin(place) != origin(asked):
        raise foreign(plainly(place))
    raise OutsideError(
        f"GitHub answered {status}, which leads to {plainly(place)}",
        means="no usable response: whether what was looked for is there is not known",
        next_step="run again; if it stays, check the repository's name",
    )


def foreign(where: str) -> OutsideError:
    """Make the error of an address in an answer that is of another host."""
    return OutsideError(
        f"GitHub's answer names an address that is not GitHub's: {where}",
        means="the token would go to another host; it was not sent",
        next_step="check `github` in ci/release.yaml, and who answers at that address",
        again=False,
    )


def inject() -> None:
    """Set what PyGithub leaves open on every connection, also on those to other hosts, where assets are.

    It has no timeout there, and reads an asset whole before it hands over the first chunk, in steps of 10 kB.
    """
    from github import Requester

    plain, secure = Requester.HTTPRequestsConnectionClass, Requester.HTTPSRequestsConnectionClass
    Requester.Requester.injectConnectionClasses(_checking(plain), _checking(secure))


def _checking(kind: type[Any]) -> type[Any]:
    class Connection(kind):  # type: ignore[misc]
        def __init__(self, *args: Any, **told: Any) -> None:
            super().__init__(*args, **{**told, "timeout": told.get("timeout") or TIMEOUT})
            self.session.stream = True
            follow_policy(self.session)

        def request(self, verb: str, url: str, input: Any, headers: Any, stream: bool = False) -> None:  # noqa: A002 - inherited
            checked(headers, _asked(self))
            super().request(verb, url, input, headers, stream)

        def getresponse(self) -> Any:
            came = super().getresponse()
            answered(came.status, dict(came.getheaders()), _asked(self))
            return came

    return Connection


def _asked(connection: Any) -> str:
    return f"{connection.protocol}://{connection.host}:{connection.port}"
