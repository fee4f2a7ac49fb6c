"""What refers to a manifest: by the Referrers API, or by a tag where a registry has none.

https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema, read and
written as go-containerregistry, and so cosign, does.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import msgspec

from sealift.errors import OutsideError
from sealift.model.names import Digest, Repository
from sealift.oci.documents import INDEX
from sealift.tools.http import Answer
from sealift.tools.registry_http import OK
from sealift.tools.registry_objects import Manifest, Objects, decoded, unexpected

Descriptor = dict[str, Any]
_NO_REFERRERS: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}

# The answers that go-containerregistry, and so cosign, reads as "this registry has no Referrers API", and two
# that leave no doubt: a method or a route that is not supported.
# https://github.com/google/go-containerregistry/blob/main/pkg/v1/remote/referrers.go
_NO_REFERRERS_API = frozenset({400, 404, 405, 406, 501})
# Seconds after which a page in place of a list is no accident of the line.
STAYS = 5.0


class Referrers:
    """The lists of every registry that is asked; threads may share it."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._lock = threading.Lock()
        self._having: set[str] = set()
        # When a page came first in place of the list of a subject, in monotonic seconds.
        self._pages: dict[str, float] = {}
        self._writing: dict[str, threading.Lock] = {}

    def of(self, repository: Repository, digest: Digest) -> list[Descriptor]:
        """List the descriptors of what refers to a manifest; an empty list is the registry's own word."""
        subject = repository.at(digest)
        try:
            listed = self._by_api(repository, digest)
            self._pages.pop(subject, None)
        except _PageError:
            if (index := self._by_tag(repository, digest)) is None and not self._stays(subject):
                raise
            return [] if index is None else _manifests(index, _fallback(repository, digest))
        if listed is not None:
            return listed
        index = self._by_tag(repository, digest)
        return [] if index is None else _manifests(index, _fallback(repository, digest))

    def alone(self, subject: str) -> threading.Lock:
        """Let one thread at a time change what refers to a subject.

        The tag is read, changed and written, and some registries do the same inside, unguarded: two at
        once would lose one. Another process is not held back.
        """
        with self._lock:
            return self._writing.setdefault(subject, threading.Lock())

    def add(self, repository: Repository, digest: Digest, added: Descriptor) -> None:
        """List a referrer that was put, unless the registry has done so itself."""
        try:
            if self._by_api(repository, digest) is not None:
                return
        except _PageError:
            # It did not say either that it lists what was put: so it has no API, and its word is a page.
            pass
        index = self._by_tag(repository, digest) or _NO_REFERRERS
        known = _manifests(index, _fallback(repository, digest))
        if any(d.get("digest") == added["digest"] for d in known):
            return
        manifests = sorted([*known, added], key=lambda d: str(d.get("digest")))
        body = msgspec.json.encode({**index, "manifests": manifests})
        self._objects.put_manifest(repository, _tag(digest), Manifest(body=body, media_type=INDEX))

    def _stays(self, subject: str) -> bool:
        """Tell whether a page has come for so long that it is the registry's, not a proxy's.

        The registry itself has answered the question about the tag each time.
        """
        now = time.monotonic()
        return now - self._pages.setdefault(subject, now) >= STAYS

    def _by_api(self, repository: Repository, digest: Digest) -> list[Descriptor] | None:
        """Ask the API; None means that the registry has none."""
        what = f"the Referrers API of {repository}"
        found: list[Descriptor] = []
        # No filter: a registry that does not know it could answer 400, which would be taken for its absence.
        pages = self._objects.api.pages(repository, f"referrers/{digest}", headers={"Accept": INDEX})
        for page in pages:
            if page.status in _NO_REFERRERS_API or (page.status != OK and b'"UNSUPPORTED"' in page.body):
                if repository.host not in self._having:
                    return None
                raise OutsideError(
                    f"{what}: {page.host} answered {page.status}, and had answered this question before",
                    means="nothing was said, neither yes nor no",
                    next_step="run again",
                )
            if page.status != OK:
                raise self._objects.api.refused(page, what, repository)
            kind = page.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if kind != INDEX:
                told = unexpected(what, f"its type is {kind or 'not told'}")
                if not found and _is_page(page) and repository.host not in self._having:
                    raise _PageError(told.happened, means=told.means, next_step=told.next_step)
                raise told
            found += _manifests(decoded(page.body, what), what)
        self._having.add(repository.host)
        return found

    def _by_tag(self, repository: Repository, digest: Digest) -> dict[str, Any] | None:
        found = self._objects.find_manifest(repository, _tag(digest))
        # GitLab reads the tag as the digest and answers with the subject itself (oras-project/oras-go#1396).
        if found is None or found.digest == digest:
            return None
        index = decoded(found.body, _fallback(repository, digest))
        if found.media_type != INDEX or index.get("schemaVersion") != 2:  # noqa: PLR2004 - the only one there is
            raise OutsideError(
                f"{_fallback(repository, digest)} is no index",
                means="something else is under the tag that clients read",
                next_step="look who may write there, and delete the tag",
                again=False,
            )
        manifests = _manifests(index, _fallback(repository, digest))
        if any(_is_platform(d) for d in manifests):
            # An image's index. What it lists are no referrers, and are not kept beside them.
            return {**_NO_REFERRERS, "manifests": [d for d in manifests if not _is_platform(d)]}
        return index


class _PageError(OutsideError):
    """The API answered 200 with a page or with nothing, and has never answered with a list.

    Some registries do where they have none (sigstore/sigstore-js#1187); so does a proxy that is in the way.
    """


def _is_page(answer: Answer) -> bool:
    """Tell whether an answer is a page or nothing; JSON under another name may be a list."""
    return answer.body.lstrip()[:1] not in (b"{", b"[")


def _is_platform(found: Descriptor) -> bool:
    return "platform" in found and not found.get("artifactType")


def _tag(digest: Digest) -> str:
    return f"sha256-{digest.hex}"


def _fallback(repository: Repository, digest: Digest) -> str:
    return f"the fallback tag {repository}:{_tag(digest)}"


def _manifests(index: dict[str, Any], what: str) -> list[Descriptor]:
    """Take the list out of an index; Go writes an empty one as null."""
    match index:
        case {"manifests": None}:
            return []
        case {"manifests": [*found]} if all(isinstance(d, dict) for d in found):
            return found
        case _:
            raise unexpected(what, "it holds no list")
