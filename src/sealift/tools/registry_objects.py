"""What a registry holds: manifests and blobs, read, hashed again and put.

Everything read by a digest is hashed: what a caller gets is what the digest names.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec

from sealift.errors import OutsideError, RefusedError, SealiftError
from sealift.model.codec import decode
from sealift.model.names import Digest, Repository
from sealift.oci.documents import INDEX, MANIFEST
from sealift.tools.address import leaves_tls, plainly
from sealift.tools.http import Answer
from sealift.tools.registry_http import ACCEPTED, CREATED, NOT_FOUND, OK, Api, NotThereError, told_by

MANIFEST_TYPES = (
    INDEX,
    MANIFEST,
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_BYTES, _PAGE = "application/octet-stream", "text/html"
DIGEST_HEADER = "Docker-Content-Digest"
ANY_TYPE = {"Accept": ", ".join(MANIFEST_TYPES)}


@dataclass(frozen=True, kw_only=True)
class Blob:
    """A configuration or a layer, as a manifest names it."""

    digest: Digest
    size: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest or an index as the registry holds it."""

    body: bytes = field(repr=False)
    media_type: str

    @property
    def digest(self) -> Digest:
        """The hash of its bytes."""
        return Digest.of(self.body)

    @property
    def descriptor(self) -> dict[str, Any]:
        """How other manifests name it."""
        return {"mediaType": self.media_type, "digest": str(self.digest), "size": len(self.body)}

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """What it names below itself that is no manifest."""
        found = decoded(self.body, f"the manifest {self.digest}")
        named = [d for d in (found.get("config"), *(found.get("layers") or ())) if d]
        return tuple(Blob(digest=Digest(d["digest"]), size=d["size"]) for d in named)


@dataclass(frozen=True)
class Objects:
    """The manifests and the blobs of every registry that is asked."""

    api: Api

    def _must(self, answer: Answer, good: set[int], repository: Repository, what: str) -> Answer:
        if answer.status not in good:
            raise self.api.refused(answer, what, repository)
        return answer

    def head(self, repository: Repository, name: str) -> Digest | None:
        """Return the digest that a tag or a digest names, or None when there is nothing."""
        what = f"{spelled(repository, name)} could not be read"
        answer = self.api.ask("HEAD", repository, f"manifests/{name}", headers=ANY_TYPE)
        if answer.status == NOT_FOUND:
            return None
        self._must(answer, {OK}, repository, what)
        told = answer.headers.get(DIGEST_HEADER, "")
        if not Digest.accepts(told):
            # The header is not promised, and may be of another algorithm.
            found = self.find_manifest(repository, name)
            return None if found is None else found.digest
        return _named(Digest(told), name, spelled(repository, name))

    def find_manifest(self, repository: Repository, name: str) -> Manifest | None:
        """Read the manifest that a tag or a digest names, or return None when there is none.

        RefusedError where the answer contradicts itself: a header is what other clients believe.
        """
        reference = spelled(repository, name)
        answer = self.api.ask("GET", repository, f"manifests/{name}", headers=ANY_TYPE)
        if answer.status == NOT_FOUND:
            return None
        what = f"the manifest {reference} could not be read"
        self._must(answer, {OK}, repository, what)
        _no_page(answer, what)
        _named(Digest.of(answer.body), name, reference)
        _header_agrees(answer, Digest.of(answer.body), reference)
        return Manifest(body=answer.body, media_type=_media_type(answer, reference))

    def manifest(self, repository: Repository, name: str) -> Manifest:
        """Read a manifest, or raise NotThereError."""
        found = self.find_manifest(repository, name)
        if found is None:
            raise _lost(f"the manifest {spelled(repository, name)}", repository)
        return found

    def put_manifest(self, repository: Repository, name: str, manifest: Manifest) -> Answer:
        """Put a manifest under a tag, or under its own digest."""
        headers = {"Content-Type": manifest.media_type}
        answer = self.api.ask("PUT", repository, f"manifests/{name}", headers=headers, body=manifest.body)
        what = f"{spelled(repository, name)} could not be put"
        self._must(answer, {OK, CREATED, ACCEPTED}, repository, what)
        _header_agrees(answer, manifest.digest, f"what was put as {spelled(repository, name)}")
        return answer

    def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Tell whether the registry says that it holds a blob; its bytes are not read."""
        answer = self.api.ask("HEAD", repository, f"blobs/{digest}")
        if answer.status == NOT_FOUND:
            return False
        what = f"whether {repository.at(digest)} is there could not be read"
        self._must(answer, {OK}, repository, what)
        return True

    def blob(self, repository: Repository, digest: Digest) -> bytes:
        """Read a blob, or raise NotThereError."""
        answer = self.api.ask("GET", repository, f"blobs/{digest}")
        if answer.status == NOT_FOUND:
            raise _lost(f"the blob {repository.at(digest)}", repository)
        what = f"the blob {repository.at(digest)} could not be read"
        self._must(answer, {OK}, repository, what)
        _no_page(answer, what)
        _named(Digest.of(answer.body), digest, repository.at(digest))
        return answer.body

    def put_blob(self, repository: Repository, body: bytes, media_type: str) -> dict[str, Any]:
        """Put a blob, unless it is there, and return how a manifest names it."""
        digest = Digest.of(body)
        if not self.has_blob(repository, digest):
            self._upload(repository, digest, body)
        return {"mediaType": media_type, "digest": str(digest), "size": len(body)}

    def check_uploads(self, repository: Repository) -> None:
        """Begin an upload and see where it would go; for programs that would follow it out of TLS.

        What else may be wrong there is left to the program to tell.
        """
        begun = self.api.ask("POST", repository, "blobs/uploads/", body=b"")
        if begun.status == ACCEPTED:
            with suppress(ValueError):
                _stays_in_tls(begun, urljoin(begun.url, begun.headers.get("Location", "")))

    def _upload(self, repository: Repository, digest: Digest, body: bytes) -> None:
        """Ask where to, and put it there in one piece."""
        what = f"the blob {repository.at(digest)} could not be put"
        begun = self.api.ask("POST", repository, "blobs/uploads/", body=b"")
        where = self._must(begun, {ACCEPTED}, repository, what).headers.get("Location")
        if not where:
            raise OutsideError(f"{what}: {begun.host} did not say where to", next_step="run again")
        answer = self.api.ask(
            "PUT", repository, _at(begun, where, digest), headers={"Content-Type": _BYTES}, body=body
        )
        if answer.status == NOT_FOUND:
            # It told us that address a moment ago: the upload is gone, or its address came cut off.
            raise OutsideError(
                f"{what}: {answer.host} does not know the upload that it began", next_step="run again"
            )
        self._must(answer, {CREATED}, repository, what)
        _header_agrees(answer, digest, f"what was put as {repository.at(digest)}")


def decoded(body: bytes, what: str) -> dict[str, Any]:
    """Read JSON that must be an object, or raise OutsideError."""
    try:
        return decode(body, dict[str, Any])
    except msgspec.MsgspecError as err:
        raise unexpected(what, err) from err


def unexpected(what: str, why: object) -> OutsideError:
    """Make an error of an answer that says it is a success, and is something else."""
    return OutsideError(
        f"{what}: not the JSON that was expected",
        means=f"{why}; the registry, or something on the way, answered something else",
        next_step="run again",
    )


def _lost(what: str, repository: Repository) -> SealiftError:
    return NotThereError(
        f"{what} could not be read: it is not there",
        means=f"{repository.host} answered, and does not hold it",
        next_step="look who deleted it; sealift push puts an image there again",
        again=False,
    )


def _named(got: Digest, name: str, what: str) -> Digest:
    if Digest.accepts(name) and got != name:
        raise RefusedError(
            f"{what} has other bytes than its name says",
            means=f"expected {name}, got {got}: the registry or something on the way changed it",
            next_step="run again; if it stays, ask from another network, then whoever runs the registry",
        )
    return got


def _header_agrees(answer: Answer, digest: Digest, what: str) -> None:
    """Refuse a header that names other bytes; it is not promised, and may be of another algorithm."""
    named = answer.headers.get(DIGEST_HEADER, "")
    if Digest.accepts(named) and named != digest:
        raise RefusedError(
            f"{what} is {digest}, and the registry's header {DIGEST_HEADER} says {named}",
            means="clients that believe the header get another image than those that read the body",
            next_step=f"run again; if it stays, report it to the operator of {answer.host}",
        )


def _no_page(answer: Answer, what: str) -> None:
    """Raise OutsideError when a page came, of a login or of somebody who is at work on it."""
    if answer.headers.get("Content-Type", "").lower().startswith(_PAGE):
        raise OutsideError(
            f"{what}: {answer.host} answered with a page for people",
            means="something on the way, or in the registry's stead, answered",
            next_step="run again when the registry itself answers",
        )


def content_type(answer: Answer) -> str:
    """Return what an answer calls its body, without parameters."""
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _media_type(answer: Answer, reference: str) -> str:
    """Return what the registry calls a manifest, or where it says nothing, what it calls itself.

    Raises RefusedError where these are two types, as the specification asks of clients.
    """
    told, itself = content_type(answer), decoded(answer.body, reference)
    own = itself.get("mediaType")
    if told not in MANIFEST_TYPES:
        return str(own or (INDEX if "manifests" in itself else MANIFEST))
    if own not in (None, "", told):
        raise RefusedError(
            f"{reference} is {own}, and the registry's header Content-Type says {told}",
            means="clients that believe the header read it as something else",
            next_step=f"run again; if it stays, report it to the operator of {answer.host}",
        )
    return told


def _stays_in_tls(begun: Answer, url: str) -> None:
    if leaves_tls(url, begun.url):
        raise OutsideError(
            f"{begun.host} wants the upload to be sent to {plainly(url)}",
            means="that is not HTTPS: what is sent could be read and changed on the way; nothing was sent",
            next_step=f"configure the registry's external address as https://{begun.host}, or let the proxy "
            "before it send X-Forwarded-Proto: https",
            again=False,
        )


def _at(begun: Answer, where: str, digest: Digest) -> str:
    """Add the digest to an upload's address, whose own words stay as they are; they may be signed."""
    url = told_by(begun, where)
    _stays_in_tls(begun, url)
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode({"digest": digest}))))
    return parts._replace(query=query, fragment="").geturl()


def spelled(repository: Repository, name: str) -> str:
    """Write a reference."""
    return f"{repository}{'@' if Digest.accepts(name) else ':'}{name}"
