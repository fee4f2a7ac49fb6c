"""Reading back what a registry shows to other clients: by tag and by digest, it must be the same bytes.

Each request is one that a widely used client sends. What a registry says in its headers must agree with the
body: containers/image takes a manifest's type from Content-Type, containerd and Docker its digest from
Docker-Content-Digest, both without reading the body first.
https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.model.names import Digest, Repository
from sealift.oci.documents import DOCKER, INDEX, MANIFEST
from sealift.threads import threads_of
from sealift.tools.http import Answer, Sink
from sealift.tools.http_limits import LIMIT
from sealift.tools.registry_denied import FORBIDDEN, UNAUTHORIZED, DeniedError
from sealift.tools.registry_http import NOT_FOUND, OK
from sealift.tools.registry_objects import (
    ANY_TYPE,
    DIGEST_HEADER,
    Blob,
    Manifest,
    Objects,
    content_type,
    decoded,
    spelled,
)
from sealift.tools.registry_referrers import Referrers

_V2, _V2_LIST = f"{DOCKER}distribution.manifest.v2+json", f"{DOCKER}distribution.manifest.list.v2+json"
_V1, _V1_SIGNED = f"{DOCKER}distribution.manifest.v1+json", f"{DOCKER}distribution.manifest.v1+prettyjws"
# What each client accepts, in its own order:
# containers/image: manifest.DefaultRequestedManifestMIMETypes; moby: distribution.ManifestMediaTypes;
# containerd: core/remotes/docker/resolver.go; crane: pkg/v1/remote/descriptor.go
ACCEPTS = {
    "podman": (MANIFEST, _V2, _V1_SIGNED, _V1, _V2_LIST, INDEX),
    "docker": (_V2_LIST, INDEX, MANIFEST, _V2, _V1_SIGNED, "application/json"),
    "containerd": (_V2, _V2_LIST, MANIFEST, INDEX, "*/*"),
    "crane": (_V1, _V1_SIGNED, _V2, MANIFEST, _V2_LIST, INDEX),
}
# One that accepts the type of what it reads, and nothing else.
NARROW = "a client of one type"
CLIENTS = (*ACCEPTS, NARROW)
_DENIED = frozenset({UNAUTHORIZED, FORBIDDEN, NOT_FOUND})
_LIMITED = 429
THREADS = 8


@dataclass(frozen=True, kw_only=True)
class Readback:
    """What other clients get: ``problems`` are the contradictions; ``public`` means read without a login."""

    problems: tuple[str, ...]
    public: bool
    requests: int

    @property
    def manner(self) -> str:
        """Say how it was read, for reports."""
        return "without a login" if self.public else "with the login: it cannot be read without one"


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads as strangers do: without a login where that is ``public``, else with the one that there is."""

    objects: Objects
    anonymous: Objects
    public: bool

    @classmethod
    def of(cls, objects: Objects, anonymous: Objects, repository: Repository, digest: Digest) -> Reader:
        """Find out whether a manifest can be read without a login; many new repositories are private."""
        try:
            answer = anonymous.api.ask("HEAD", repository, f"manifests/{digest}", headers=ANY_TYPE)
        except DeniedError:
            return cls(objects=objects, anonymous=anonymous, public=False)
        if answer.status not in {OK, _LIMITED, *_DENIED}:
            what = f"{repository.at(digest)} could not be read without a login"
            raise anonymous.api.refused(answer, what, repository)
        return cls(objects=objects, anonymous=anonymous, public=answer.status == OK)

    def read(self, repository: Repository, names: Mapping[str, Digest], *, blobs: bool) -> Readback:
        """Ask for each name (a tag or a digest) as each client does; with ``blobs``, hash all below, too."""
        held = {digest: self.objects.manifest(repository, digest) for digest in set(names.values())}
        asked = [
            functools.partial(self._contradictions, repository, name, held[digest], client, method)
            for name, digest in names.items()
            for client in CLIENTS
            for method in ("HEAD", "GET")
        ]
        below = {blob for manifest in held.values() for blob in manifest.blobs} if blobs else ()
        asked += [functools.partial(self._blob_problems, repository, blob) for blob in below]
        with threads_of(THREADS) as threads:
            found = [problem for problems in threads.map(lambda ask: ask(), asked) for problem in problems]
        return Readback(problems=tuple(found), public=self.public, requests=len(asked))

    def listing_problems(self, repository: Repository, digest: Digest, kind: str) -> tuple[str, ...]:
        """Compare the lists of what refers to a manifest, and each entry of one type with what it names."""
        subject = repository.at(digest)
        listed = Referrers(self.objects).of(repository, digest)
        problems = []
        if self.public:
            shown = {str(d.get("digest")) for d in Referrers(self.anonymous).of(repository, digest)}
            known = {str(d.get("digest")) for d in listed}
            problems += [f"{d} is listed for {subject} only with a login" for d in sorted(known - shown)]
            problems += [f"{d} is listed for {subject} only without a login" for d in sorted(shown - known)]
        for entry in listed:
            name = str(entry.get("digest"))
            if entry.get("artifactType") != kind or not Digest.accepts(name):
                continue
            found = self.objects.find_manifest(repository, name)
            if found is None:
                problems.append(f"{name} is listed for {subject} and is not there")
                continue
            about = decoded(found.body, name).get("subject")
            shown_subject = about.get("digest") if isinstance(about, dict) else None
            if (entry.get("size"), entry.get("mediaType")) != (len(found.body), found.media_type):
                problems.append(f"{name} is listed for {subject} with another size or type than it has")
            if shown_subject != digest:
                problems.append(f"{name} is listed for {subject} and is about {shown_subject}")
        return tuple(problems)

    def _contradictions(
        self, repository: Repository, name: str, expected: Manifest, client: str, method: str
    ) -> tuple[str, ...]:
        """Name everything in one answer that is not as expected; OutsideError where there is no answer."""
        accept = ", ".join(ACCEPTS.get(client, (expected.media_type,)))
        answer = self._ask(method, repository, f"manifests/{name}", {"Accept": accept})
        asked = f"{method} {spelled(repository, name)} as {client}"
        if answer.status in _DENIED:
            return (f"{asked}: answered {answer.status}",)
        if answer.status != OK:
            raise self.objects.api.refused(answer, f"{asked} failed", repository)
        headers, size = answer.headers, str(len(expected.body))
        digest = headers.get(DIGEST_HEADER, "")
        shown = [
            (DIGEST_HEADER, digest if Digest.accepts(digest) else expected.digest, expected.digest),
            ("Content-Type", content_type(answer) or expected.media_type, expected.media_type),
        ]
        if method == "GET":
            shown.append(("body", Digest.of(answer.body), expected.digest))
        else:
            shown.append(("Content-Length", headers.get("Content-Length", size), size))
        return tuple(f"{asked}: {what} is {got}, expected {want}" for what, got, want in shown if got != want)

    def _blob_problems(self, repository: Repository, blob: Blob) -> tuple[str, ...]:
        """Read a whole blob and compare it with its name."""
        read = _Hashed()
        sink = Sink(write=read.add, limit=blob.size + LIMIT)
        what = f"blob {repository.at(blob.digest)}"
        answer = self._ask("GET", repository, f"blobs/{blob.digest}", {}, sink)
        if answer.status in _DENIED:
            return (f"GET {what}: answered {answer.status}",)
        if answer.status != OK:
            raise self.objects.api.refused(answer, f"GET {what} failed", repository)
        if (read.digest, read.size) == (blob.digest, blob.size):
            return ()
        return (f"GET {what}: body is {read.size} bytes of {read.digest}, expected {blob.size} bytes",)

    def _ask(
        self,
        method: str,
        repository: Repository,
        where: str,
        headers: Mapping[str, str],
        sink: Sink | None = None,
    ) -> Answer:
        if self.public:
            try:
                answer = self.anonymous.api.ask(method, repository, where, headers=headers, sink=sink)
            except DeniedError as error:
                return Answer(url=where, status=error.status, headers={}, body=b"")
            if answer.status != _LIMITED:
                return answer
            # Strangers share a limit with others behind the same address; a login has its own.
        return self.objects.api.ask(method, repository, where, headers=headers, sink=sink)


class _Hashed:
    """What was read, by its hash and its length."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    def add(self, part: bytes) -> None:
        self._hash.update(part)
        self.size += len(part)

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{self._hash.hexdigest()}")
