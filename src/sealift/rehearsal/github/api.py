"""The routes of the stand-in: requests in, answers out, no socket."""

from __future__ import annotations

import hmac
import re
import secrets
import threading
from collections.abc import Callable
from urllib.parse import urlencode

from sealift.errors import SealiftError
from sealift.rehearsal.github.answers import (
    Answer,
    ProblemError,
    Request,
    invalid,
    not_found,
    shown,
)
from sealift.rehearsal.github.releases import Releases
from sealift.rehearsal.github.store import AssetRecord, ReleaseRecord, Store
from sealift.rehearsal.github.views import Views

MOST_PER_PAGE = 100
Handler = Callable[..., Answer]


class Api:
    """GitHub's answers for one repository."""

    def __init__(
        self, store: Store, *, origin: str, repository: str, token: str, immutable: bool = True
    ) -> None:
        self._store = store
        self._origin = origin
        self._token = token
        self._views = Views(store, origin=origin, repository=repository)
        self._releases = Releases(store, immutable=immutable)
        self._lock = threading.Lock()
        # GitHub sends a reader of an asset to another address, signed for a few minutes.
        self._signature = secrets.token_urlsafe(16)
        self._downloads = re.compile(rf"/{re.escape(repository)}/releases/download/([^/]+)/([^/]+)")
        repo = f"/repos/{re.escape(repository)}"
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = [
            (method, re.compile(pattern), handler)
            for method, pattern, handler in (
                ("GET", repo, self._repository),
                ("GET", f"{repo}/releases", self._list),
                ("POST", f"{repo}/releases", self._create),
                ("GET", rf"{repo}/releases/latest", self._latest),
                ("GET", rf"{repo}/releases/tags/(.+)", self._by_tag),
                ("GET", rf"{repo}/releases/(\d+)", self._get),
                ("PATCH", rf"{repo}/releases/(\d+)", self._update),
                ("DELETE", rf"{repo}/releases/(\d+)", self._delete),
                ("GET", rf"{repo}/releases/(\d+)/assets", self._assets),
                ("POST", rf"/uploads{repo}/releases/(\d+)/assets", self._upload),
                ("GET", rf"{repo}/releases/assets/(\d+)", self._asset),
                ("DELETE", rf"{repo}/releases/assets/(\d+)", self._delete_asset),
                ("GET", rf"{repo}/git/ref/tags/(.+)", self._ref),
                ("GET", rf"{repo}/git/tags/([0-9a-f]+)", self._tag_object),
            )
        ]

    def answer(self, request: Request) -> Answer:
        """Answer one request; one at a time, so nothing is seen half-done."""
        try:
            with self._lock:
                return self._answer(request)
        except ProblemError as problem:
            return problem.answer()
        except (SealiftError, OSError) as error:
            return ProblemError(500, f"the stand-in's folder cannot be used: {error}").answer()

    def _answer(self, request: Request) -> Answer:
        if request.path == "/zen":
            return Answer(status=200, body=b"Tags move last.", content_type="text/plain; charset=utf-8")
        if found := re.fullmatch(r"/storage/(\d+)", request.path):
            return self._stored(request, int(found[1]))
        if request.method == "GET" and (found := self._downloads.fullmatch(request.path)):
            return self._download(*found.groups())
        self._authenticate(request)
        for method, pattern, handler in self._routes:
            if method == request.method and (found := pattern.fullmatch(request.path)):
                return handler(request, *found.groups())
        raise not_found()

    def _authenticate(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if not given:
            raise ProblemError(401, "Requires authentication")
        if scheme.lower() not in ("bearer", "token") or not hmac.compare_digest(
            given.strip().encode(), self._token.encode()
        ):
            raise ProblemError(401, "Bad credentials")

    def _repository(self, _request: Request) -> Answer:
        return shown(self._views.repository())

    def _list(self, request: Request) -> Answer:
        return self._page(request, [self._views.release(r) for r in self._store.releases()])

    def _assets(self, request: Request, number: str) -> Answer:
        found = self._store.assets(self._release(number).id)
        return self._page(request, [self._views.asset(a) for a in found])

    def _page(self, request: Request, everything: list[dict[str, object]]) -> Answer:
        per_page = request.number("per_page", 30, MOST_PER_PAGE)
        page = request.number("page", 1, 1_000_000)
        last = max(1, -(-len(everything) // per_page))
        places = {"next": page + 1, "last": last} if page < last else {}
        if page > 1:
            places |= {"prev": page - 1, "first": 1}
        address = f"{self._origin}{request.path}"
        links = [
            f'<{address}?{urlencode({**request.query, "page": place})}>; rel="{rel}"'
            for rel, place in places.items()
        ]
        headers = {"Link": ", ".join(links)} if links else {}
        return shown(everything[(page - 1) * per_page : page * per_page], headers=headers)

    def _release(self, number: str) -> ReleaseRecord:
        if (found := self._store.release(int(number))) is None:
            raise not_found()
        return found

    def _create(self, request: Request) -> Answer:
        made = self._releases.create(request.body)
        location = {"Location": self._views.release_url(made)}
        return shown(self._views.release(made), status=201, headers=location)

    def _get(self, _request: Request, number: str) -> Answer:
        return shown(self._views.release(self._release(number)))

    def _by_tag(self, _request: Request, tag: str) -> Answer:
        for found in self._store.releases():
            # A draft's tag is a plan, not a name: https://docs.github.com/rest/releases/releases
            if found.tag_name == tag and not found.draft:
                return shown(self._views.release(found))
        raise not_found()

    def _latest(self, _request: Request) -> Answer:
        if (found := self._releases.latest()) is None:
            raise not_found()
        return shown(self._views.release(found))

    def _update(self, request: Request, number: str) -> Answer:
        return shown(self._views.release(self._releases.update(self._release(number), request.body)))

    def _delete(self, _request: Request, number: str) -> Answer:
        self._store.drop(self._release(number))
        return Answer(status=204)

    def _upload(self, request: Request, number: str) -> Answer:
        release = self._release(number)
        if release.immutable:
            raise ProblemError(422, "Cannot upload assets to an immutable release.")
        # GitHub renames such files without a word; so does its stand-in.
        name = re.sub(r"[^A-Za-z0-9_.+@-]+", ".", request.query.get("name", "")).strip(".")
        if not name:
            raise invalid("ReleaseAsset", "name", "missing_field")
        if not request.body and request.complete:
            raise ProblemError(400, "Bad Content-Length: 0")
        if any(asset.name == name for asset in self._store.assets(release.id)):
            raise invalid("ReleaseAsset", "name", "already_exists")
        made = self._store.add_asset(
            release.id,
            name=name,
            label=request.query.get("label", ""),
            content_type=request.headers.get("content-type", "application/octet-stream"),
            content=request.body,
            complete=request.complete,
        )
        return shown(self._views.asset(made), status=201)

    def _asset_record(self, number: str) -> AssetRecord:
        if (found := self._store.asset(int(number))) is None:
            raise not_found()
        return found

    def _asset(self, request: Request, number: str) -> Answer:
        asset = self._asset_record(number)
        if request.headers.get("accept") != "application/octet-stream":
            return shown(self._views.asset(asset))
        return self._to_storage(asset)

    def _download(self, tag: str, name: str) -> Answer:
        """Give a file of a published release to a reader without a login, as a public repository does."""
        for release in self._store.releases():
            for asset in self._store.assets(release.id):
                if (release.tag_name, asset.name, release.draft) == (tag, name, False):
                    return self._to_storage(asset)
        raise not_found()

    def _to_storage(self, asset: AssetRecord) -> Answer:
        location = f"{self._origin}/storage/{asset.id}?{urlencode({'sig': self._signature})}"
        return Answer(status=302, headers={"Location": location})

    def _stored(self, request: Request, number: int) -> Answer:
        if not hmac.compare_digest(request.query.get("sig", "").encode(), self._signature.encode()):
            raise ProblemError(403, "the signature of this address is wrong")
        asset = self._asset_record(str(number))
        return Answer(status=200, body=self._store.content(number), content_type=asset.content_type)

    def _delete_asset(self, _request: Request, number: str) -> Answer:
        asset = self._asset_record(number)
        if self._release(str(asset.release)).immutable:
            raise ProblemError(422, "Cannot delete asset from an immutable release")
        self._store.drop_asset(asset.id)
        return Answer(status=204)

    def _ref(self, _request: Request, tag: str) -> Answer:
        if (found := self._store.refs().get(tag)) is None:
            raise not_found()
        return shown(self._views.ref(tag, found))

    def _tag_object(self, _request: Request, sha: str) -> Answer:
        for name, ref in self._store.refs().items():
            if ref.commit is not None and ref.sha == sha:
                return shown(self._views.tag_object(name, sha, ref.commit))
        raise not_found()
