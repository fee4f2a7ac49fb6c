"""The bytes of a release's files: through GitHub's API with the token, and where people download them.

PyGithub asks one question after another, with pauses; files are read by several threads at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import msgspec

from sealift.errors import OutsideError, RefusedError
from sealift.model.codec import decode
from sealift.tools.address import leaves_tls, origin, plainly
from sealift.tools.http import Answer, Http, Sink
from sealift.tools.http_limits import LIMIT

# Bytes of a file, which is held in memory: GitHub may claim any size.
LARGEST = 1 << 30
BINARY = "application/octet-stream"
HOPS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
DENIED = frozenset({401, 403, 404})


class Files:
    """Reads the files of one repository's releases; threads may share it."""

    def __init__(self, api: str, repository: str, token: str | None) -> None:
        self._api = api
        self._repository = repository
        self._headers = {"Accept": BINARY} | ({"Authorization": f"token {token}"} if token else {})
        self._http = Http()

    def by_id(self, number: int, size: int) -> tuple[Answer, bytes]:
        """Read a file through the API; ``size`` is how long it should be about."""
        url = f"{self._api}/repos/{self._repository}/releases/assets/{number}"
        return self._read(url, self._headers, size)

    def by_page(self, page: str, name: str, size: int) -> tuple[Answer, bytes]:
        """Read a file where GitHub says that people download it, which must be on GitHub itself."""
        parts = urlsplit(self._api)
        # The server that people see: https://HOST, for the API at https://api.HOST and https://HOST/api/v3
        place = f"{parts.scheme}://{parts.netloc.removeprefix('api.')}"
        if origin(page) != origin(place) or not unquote(urlsplit(page).path).endswith(f"/{name}"):
            raise RefusedError(
                f"GitHub says that people download {name} at {plainly(page)}",
                means=f"that is no address of {name} at {place}, so people would get something else",
                next_step="look at the release on GitHub, and report it to the server's operator",
            )
        return self._read(page, {}, size)

    def _read(self, url: str, headers: Mapping[str, str], size: int) -> tuple[Answer, bytes]:
        """Follow redirects to where the bytes are; the token is for the API alone, never for storage."""
        read = bytearray()
        sink = Sink(write=read.extend, limit=min(max(size, 0), LARGEST) + LIMIT)
        for _ in range(HOPS):
            own = origin(url) == origin(self._api)
            sent = {k: v for k, v in headers.items() if own or k != "Authorization"}
            answer = self._http.ask("GET", url, headers=sent, sink=sink)
            if answer.status not in REDIRECTS:
                return answer, bytes(read)
            following = urljoin(url, answer.headers.get("Location", ""))
            if leaves_tls(following, url):
                raise OutsideError(
                    f"{answer.host} redirects the download of a file to {plainly(following)}",
                    means="that is not HTTPS: what comes from there could be changed on the way",
                    next_step="report it to the server's operator",
                    again=False,
                )
            url = following
        raise OutsideError(f"{urlsplit(url).netloc} redirects more than {HOPS} times", again=False)


def needs_login(answer: Answer) -> bool:
    """Tell whether an answer is the page for a login, which a server shows where nothing is public."""
    return urlsplit(answer.url).path.rstrip("/") == "/login"


def said_in(answer: Answer) -> dict[str, Any]:
    """Read what GitHub says of a failure; a page of something on the way says nothing."""
    try:
        return decode(answer.body, dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
