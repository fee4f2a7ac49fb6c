"""A registry's HTTP API: where a repository is, who asks, redirects and pages.

    api = Api(plain_http=("localhost:5000",), env=env)
    answer = api.ask("GET", Repository("localhost:5000/app"), "tags/list")

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urljoin

from sealift.errors import OutsideError
from sealift.model.names import Repository
from sealift.tools.address import leaves_tls, origin, plainly, secured
from sealift.tools.http import Answer, Http, Sink
from sealift.tools.http_limits import LIMIT
from sealift.tools.registry_auth import Login, Scope
from sealift.tools.registry_denied import FORBIDDEN, UNAUTHORIZED, refused

OK, CREATED, ACCEPTED, NOT_FOUND = 200, 201, 202, 404
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HOPS = 5
# Of one list, and the bytes of all its pages.
PAGES, PAGES_SIZE = 1000, 64 << 20
# Docker Hub is asked at another address than its images are named by.
_ELSEWHERE = dict.fromkeys(("docker.io", "index.docker.io"), "registry-1.docker.io")
_READING = frozenset({"GET", "HEAD"})


class NotThereError(OutsideError):
    """The registry answered, and said that it does not hold what was asked for."""


class Api:
    """The API of every registry that is asked; threads may share it. ``env`` replaces the environment.

    An ``anonymous`` one asks as everybody may, with no login of this machine. ``limit`` is the most that an
    answer may hold, in bytes.
    """

    def __init__(
        self,
        *,
        plain_http: tuple[str, ...],
        env: Mapping[str, str] | None,
        anonymous: bool = False,
        limit: int = LIMIT,
    ) -> None:
        self._plain = frozenset(plain_http)
        self._env = env
        self._http = Http(env, limit=limit)
        self._login = Login(self._http, plain_http=plain_http, env=env, anonymous=anonymous)

    def ask(
        self,
        method: str,
        repository: Repository,
        where: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        sink: Sink | None = None,
    ) -> Answer:
        """Ask about a repository, and once more with a login where one is asked for.

        ``where`` is relative to the repository, or an address that an earlier answer has told.
        """

        def followed(login: str) -> Answer:
            return self._followed(method, repository, url, headers or {}, body, login, sink)

        url = urljoin(self._home(repository), where)
        scope = Scope(repository.host, repository.path, method not in _READING)
        login = self._login.header(scope)
        answer = followed(login)
        if answer.status == UNAUTHORIZED and self._own(repository, answer.url):
            offered = answer.headers.get("WWW-Authenticate", "")
            if fresh := self._login.renew(scope, offered, login):
                login = fresh
                answer = followed(login)
        if answer.status == FORBIDDEN:
            # A token from before a repository was made may be good for nothing for as long as it lasts.
            self._login.forget(scope, login)
        return answer

    def refused(self, answer: Answer, what: str, repository: Repository) -> OutsideError:
        """Make an error of an answer that is no success."""
        return refused(answer, what, str(repository), self._env)

    def pages(self, repository: Repository, where: str, *, headers: Mapping[str, str]) -> Iterator[Answer]:
        """Read a list page by page; a first page that is no success comes alone, a later one raises."""
        answer = self.ask("GET", repository, where, headers=headers)
        yield answer
        seen, size = {answer.url}, len(answer.body)
        while (found := next_page(answer)) is not None:
            if not self._own(repository, found):
                raise OutsideError(
                    f"the list of {repository} goes on at {plainly(found)}, which is another host",
                    means="what that host answers is not this registry's; nothing was sent there",
                    next_step=f"report it to the operator of {repository.host}",
                    again=False,
                )
            if found in seen or len(seen) >= PAGES or size > PAGES_SIZE:
                raise OutsideError(
                    f"the list of {repository} does not end: after {len(seen)} pages comes {plainly(found)}",
                    means="the whole list cannot be had from this registry",
                    again=False,
                )
            seen.add(found)
            answer = self.ask("GET", repository, found, headers=headers)
            size += len(answer.body)
            if answer.status != OK:
                what = f"page {len(seen)} of a list of {repository} could not be read"
                raise self.refused(answer, what, repository)
            yield answer

    def _home(self, repository: Repository) -> str:
        host = _ELSEWHERE.get(repository.host, repository.host)
        official = host != repository.host and "/" not in repository.path
        scheme = "http" if repository.host in self._plain else "https"
        return f"{scheme}://{host}/v2/{'library/' if official else ''}{repository.path}/"

    def _own(self, repository: Repository, url: str) -> bool:
        return origin(url) == origin(self._home(repository))

    def _followed(
        self,
        method: str,
        repository: Repository,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        login: str,
        sink: Sink | None,
    ) -> Answer:
        """Follow redirects of what only reads. The login is for the registry alone, never for storage."""
        for _ in range(HOPS):
            shown = {"Authorization": login} if login and self._own(repository, url) else {}
            answer = self._http.ask(method, url, headers={**headers, **shown}, body=body, sink=sink)
            if answer.status not in REDIRECTS or method not in _READING:
                return answer
            url = _redirected(answer)
        raise OutsideError(f"{repository.host} redirects more than {HOPS} times", again=False)


def next_page(answer: Answer) -> str | None:
    """Return the address of the page after this one: https://www.rfc-editor.org/rfc/rfc8288."""
    from requests.utils import parse_header_links

    links = parse_header_links(answer.headers.get("Link", ""))
    return next((told_by(answer, link["url"]) for link in links if link.get("rel") == "next"), None)


def told_by(answer: Answer, where: str) -> str:
    """Return the address that an answer tells, or raise OutsideError where it is none: it came cut off."""
    try:
        return secured(urljoin(answer.url, where), answer.url)
    except ValueError as err:
        raise OutsideError(
            f"{answer.host} told an address that is none",
            means="its answer came cut off, or something on the way changed it",
            next_step="run again",
        ) from err


def _redirected(answer: Answer) -> str:
    url = told_by(answer, answer.headers.get("Location", ""))
    if url == answer.url or leaves_tls(url, answer.url):
        raise OutsideError(
            f"{answer.host} redirects to {plainly(url)}",
            means="that is nowhere, or open to everybody on the line",
            again=False,
        )
    return url
