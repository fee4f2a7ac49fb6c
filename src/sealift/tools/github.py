"""The releases of one GitHub repository, through PyGithub.

    github = GitHub("https://api.github.com", token, "owner/name")
    draft = github.find_release("v1.2.3")
    if draft is None:
        draft = github.create_draft("v1.2.3", commit, "health-caretaker 1.2.3", notes, prerelease=False)
    asset = github.upload(draft, Path("sbom.spdx.json"), "sbom.spdx.json")
    assert github.download(asset) == Path("sbom.spdx.json").read_bytes()

GitHub and its stand-in are one client with another address.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from sealift import process
from sealift.errors import OutsideError, RefusedError, SealiftError, UsageError
from sealift.model.status import SEVERAL
from sealift.tools.github_connection import TIMEOUT, bound, foreign, inject
from sealift.tools.github_errors import RIGHT, TRY_AGAIN, BurnedTagError, answered, said
from sealift.tools.github_files import BINARY, DENIED, Files, needs_login, said_in
from sealift.tools.http import cause, refusal

if TYPE_CHECKING:
    from github.GithubObject import GithubObject
    from github.GitRelease import GitRelease
    from github.GitReleaseAsset import GitReleaseAsset
    from github.PaginatedList import PaginatedList

T = TypeVar("T", bound="GithubObject")
PER_PAGE = 100
# GitHub lists no more than 10,000 releases; a tag of a tag is rare.
MOST_PAGES, MOST_TAGS = 100, 10
# How PyGithub says that it was redirected to another host, and that an answer is not JSON of that shape.
# What is left in the draft of a tag that is burned: GitHub says so only when it is asked to publish it.
BURNED = "GitHub will never publish this draft: an immutable release had its tag, and was deleted."
STRANGE = (AssertionError, RuntimeError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast to ask, in seconds between requests. Nothing is asked twice here: the line tries again.

    The defaults are PyGithub's pauses, which GitHub asks for:
    https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
    """

    between_requests: float = 0.25
    between_writes: float = 1.0


AT_ONCE = Pace(between_requests=0, between_writes=0)


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file of a release. ``uploaded`` is false for what an upload that broke off has left.

    ``digest`` is what GitHub says of its bytes, where it says so; ``label`` is what its pages show in the
    place of the name, and ``page`` is where people download it.
    """

    id: int
    name: str
    size: int
    uploaded: bool
    digest: str | None = None
    label: str = ""
    page: str = ""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release, or a draft of it; ``target`` is the commit or the branch that it was made for."""

    id: int
    tag: str
    title: str
    body: str
    draft: bool
    prerelease: bool
    immutable: bool
    url: str
    assets: tuple[Asset, ...]
    target: str = ""

    @property
    def burned(self) -> bool:
        """Whether it is a draft whose tag GitHub refused to publish for ever."""
        return self.draft and BURNED in self.body


class GitHub:
    """One repository's releases and tags."""

    def __init__(
        self, base_url: str, token: str | None, repository: str, *, pace: Pace | None = None
    ) -> None:
        """Without a token (None, not an empty one) only what everybody may read is there."""
        import github

        if token == "":
            raise UsageError("there is no token for GitHub", next_step=f"give a token with {RIGHT}")
        inject()
        pace = pace or Pace()
        self.repository = repository
        self._token = token
        self._api = base_url.rstrip("/")
        self._files = Files(self._api, repository, token)
        self._client = github.Github(
            auth=None if token is None else bound(token, base_url),
            base_url=self._api,
            timeout=TIMEOUT,
            per_page=PER_PAGE,
            retry=None,
            seconds_between_requests=pace.between_requests,
            seconds_between_writes=pace.between_writes,
            lazy=True,
        )
        self._repo = self._client.get_repo(repository)

    def find_release(self, tag: str) -> Release | None:
        """Find the release or the draft of a tag; two of them are refused."""
        with self._border(f"look for the release {tag}"):
            # A draft is not found by its tag, so the list is read.
            found = [_release(r) for r in _all(self._repo.get_releases()) if r.tag_name == tag]
        if len(found) > 1:
            raise RefusedError(
                f"{self.repository} has {len(found)} {SEVERAL} {tag}",
                means="which one is meant cannot be told",
                next_step=f"delete all but one on GitHub: {', '.join(r.url for r in found)}",
            )
        return found[0] if found else None

    def get_release(self, number: int) -> Release:
        """Read one release or draft by its id, which is never out of date as a list may be."""
        with self._border(f"read the release with the id {number}"):
            # Without complete() its tag is what stands last in the address: the id.
            return _release(self._repo.get_release(number).complete())

    def latest_tag(self) -> str | None:
        """Tell which release is shown as the latest one."""
        import github

        with self._border("look for the latest release"):
            try:
                return str(self._repo.get_latest_release().tag_name)
            except github.UnknownObjectException:
                self._repo.complete()
                return None

    def tag_commit(self, tag: str) -> str | None:
        """Tell which commit a tag in git names, through an annotated tag too."""
        import github

        with self._border(f"look for the tag {tag}"):
            try:
                named = self._repo.get_git_ref(f"tags/{tag}").object
            except github.UnknownObjectException:
                # The same answer hides a repository that this token may not see.
                self._repo.complete()
                return None
            for _ in range(MOST_TAGS):
                if named.type != "tag":
                    return str(named.sha)
                named = self._repo.get_git_tag(named.sha).object
            raise OutsideError(f"the tag {tag} names a tag that names a tag, and so on", again=False)

    def create_draft(self, tag: str, commit: str, title: str, body: str, *, prerelease: bool) -> Release:
        """Create a draft that nobody else sees yet."""
        with self._border(f"create the draft {tag}"):
            return _release(
                self._repo.create_git_release(
                    tag, title, body, draft=True, prerelease=prerelease, target_commitish=commit
                )
            )

    def update(
        self, release: Release, *, title: str, body: str, prerelease: bool, target: str | None = None
    ) -> Release:
        """Change the words of a release, whether it is a prerelease, and its target; all else stays."""
        with self._border(f"update the release {release.tag}"):
            changed = self._get(release).update_release(
                title,
                body,
                draft=release.draft,
                prerelease=prerelease,
                tag_name=release.tag,
                target_commitish=target or release.target,
            )
            return _release(changed)

    def publish(self, release: Release, *, make_latest: bool) -> Release:
        """Publish a draft. It cannot be taken back where releases are immutable.

        Raises BurnedTagError for a tag that can never be published, and leaves word of it in the draft.
        """
        try:
            with self._border(f"publish the release {release.tag}"):
                published = self._get(release).update_release(
                    release.title,
                    release.body,
                    draft=False,
                    prerelease=release.prerelease,
                    tag_name=release.tag,
                    make_latest="true" if make_latest else "false",
                )
                return _release(published)
        except BurnedTagError as error:
            with suppress(SealiftError):
                body = f"{BURNED}\n\n{release.body}"
                self.update(release, title=release.title, body=body, prerelease=release.prerelease)
            raise BurnedTagError.of(error.happened, release.tag) from error

    def upload(self, release: Release, path: Path, name: str) -> Asset:
        """Add a file to a release."""
        if path.stat().st_size == 0:
            raise UsageError(f"{path} is empty", means="GitHub keeps no empty file", next_step="leave it out")
        kind = mimetypes.guess_type(name)[0] or BINARY
        # PyGithub leaves a file open when the upload of a path fails; this one is ours to close.
        with self._border(f"upload {name} to {release.tag}"), path.open("rb") as file:
            target = self._get(release)
            return _asset(target.upload_asset_from_memory(file, path.stat().st_size, name, content_type=kind))

    def download(self, asset: Asset) -> bytes:
        """Read an asset's bytes through the API, with the login; several threads may."""
        with self._border(f"download {asset.name}"):
            answer, body = self._files.by_id(asset.id, asset.size)
            if answer.status != HTTPStatus.OK:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                raise self._client.requester.createException(answer.status, headers, said_in(answer))
            return body

    def download_page(self, asset: Asset) -> bytes | None:
        """Read an asset's bytes where people download it, without a login; None where that needs one."""
        answer, body = self._files.by_page(asset.page, asset.name, asset.size)
        if answer.status == HTTPStatus.OK and not needs_login(answer):
            return body
        if answer.status == HTTPStatus.NOT_FOUND and not self._is_private():
            raise OutsideError(
                f"{asset.name} is published, and {answer.host} answers 404 where people download it",
                means=f"{self.repository} is public, and its files cannot be had without a login",
                next_step=TRY_AGAIN,
            )
        if answer.status in DENIED or needs_login(answer):
            return None
        raise refusal(answer, f"{asset.name} could not be downloaded without a login")

    def _is_private(self) -> bool:
        with self._border("look whether the repository is private"):
            self._repo.complete()
            return bool(self._repo.private)

    def delete_asset(self, asset: Asset) -> None:
        """Remove a file from a draft."""
        with self._border(f"delete {asset.name}"):
            self._repo.get_release_asset(asset.id).delete_asset()

    def _get(self, release: Release) -> GitRelease:
        return self._repo.get_release(release.id)

    @contextmanager
    def _border(self, doing: str) -> Iterator[None]:
        import github
        import requests

        process.go_on()
        try:
            yield
        except github.GithubException as error:
            happened = f"could not {doing} in {self.repository}: {self._clean(said(error))}"
            raise answered(error, happened) from error
        except AssertionError as error:
            # PyGithub's own check of an address, where it is not switched off.
            raise foreign(self._clean(str(error))) from error
        except (requests.RequestException, github.BadAttributeException, *STRANGE) as error:
            host = urlsplit(self._client.requester.base_url).netloc
            raise OutsideError(
                f"could not {doing} at {host}: {self._clean(cause(error))}",
                means="GitHub did not answer, or not as GitHub does",
                next_step=TRY_AGAIN,
                # A certificate that is not believed is no accident of the line.
                again=not isinstance(error, requests.exceptions.SSLError),
            ) from error

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "***") if self._token else text


def _all(found: PaginatedList[T]) -> Iterator[T]:
    """Yield a list's elements; PyGithub would follow pages without end, empty ones too."""
    for _ in range(MOST_PAGES):
        if not found._couldGrow():  # noqa: SLF001
            return
        yield from found._grow()  # noqa: SLF001
    raise OutsideError(
        f"a list of GitHub does not end: there are more than {MOST_PAGES} pages of it",
        means="the whole list cannot be had from this GitHub",
        next_step="look what answers in its stead",
        again=False,
    )


def _release(found: GitRelease) -> Release:
    return Release(
        id=found.id,
        tag=found.tag_name,
        title=found.name or "",
        body=found.body or "",
        draft=found.draft,
        prerelease=found.prerelease,
        immutable=bool(found.immutable),
        url=found.html_url,
        target=found.target_commitish or "",
        # The list inside a release is not promised to be whole.
        assets=tuple(_asset(a) for a in _all(found.get_assets())),
    )


def _asset(found: GitReleaseAsset) -> Asset:
    return Asset(
        id=found.id,
        name=found.name,
        size=found.size,
        uploaded=found.state == "uploaded",
        digest=found.digest,
        label=found.label or "",
        page=found.browser_download_url,
    )
