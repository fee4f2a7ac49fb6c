"""A registry, asked through regctl.

    registry = Registry(plain_http=("localhost:5000",), env=env)
    registry.head("localhost:5000/app:1.2.3")

"Is not there" and "could not be read" are different answers everywhere: the first is a value, the
second raises OutsideError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import msgspec

from sealift.errors import OutsideError, RefusedError
from sealift.model.names import Digest, Repository, Tag
from sealift.process import Completed, ProgramFailedError, run

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
CONTENT_ANNOTATION = "dev.sigstore.bundle.content"
PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType"

_NOT_FOUND = re.compile(r"\[http 404\]")
# regctl hashes what it reads as well, and says so before we do.
_OTHER_BYTES = re.compile(r"digest mismatch")
# The answers that go-containerregistry, and so cosign, reads as "this registry has no Referrers API".
# https://github.com/google/go-containerregistry/blob/main/pkg/v1/remote/referrers.go
_NO_REFERRERS_API = frozenset({400, 404, 406})
_OK = 200


@dataclass(frozen=True, kw_only=True)
class Referrer:
    """A manifest that names another as its subject."""

    digest: Digest
    artifact_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)


class _Descriptor(msgspec.Struct, frozen=True, rename="camel"):
    digest: str
    media_type: str = ""
    artifact_type: str = ""
    annotations: dict[str, str] | None = None


class _Manifests(msgspec.Struct, frozen=True, rename="camel"):
    manifests: list[_Descriptor] | None = None
    layers: list[_Descriptor] | None = None


class _Request(msgspec.Struct, frozen=True, rename="kebab"):
    """One line of regctl's trace."""

    req_method: str = ""
    req_url: str = ""
    resp_status: str = ""

    @property
    def status(self) -> int:
        """The answer's status; 0 where none came."""
        number = self.resp_status.partition(" ")[0]
        return int(number) if number.isdigit() else 0


@dataclass(frozen=True, kw_only=True)
class Registry:
    """regctl with the hosts that speak plain HTTP, and an environment of its own.

    ``env`` replaces the environment: its REGCTL_CONFIG and DOCKER_CONFIG say whose credentials are used.
    """

    plain_http: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    timeout: float = 300

    def head(self, reference: str) -> Digest | None:
        """Return the digest that a reference names, or None when there is nothing."""
        done = self._regctl("manifest", "head", reference)
        if done.returncode and _NOT_FOUND.search(done.stderr):
            return None
        if done.returncode:
            _unreadable(done, f"{reference} could not be read")
        return _digest(done)

    def manifest(self, reference: str) -> bytes:
        """Return a manifest as the registry holds it, hashed again when the reference has a digest."""
        done = self._regctl("manifest", "get", "--format", "raw-body", reference)
        if done.returncode:
            _unreadable(done, f"the manifest {reference} could not be read")
        body = done.stdout.encode()
        _, at, digest = reference.partition("@")
        if at:
            _hashed(body, Digest(digest), reference)
        return body

    def blob(self, repository: Repository, digest: Digest) -> bytes:
        """Return a blob of UTF-8 text (a bundle, a configuration), hashed again."""
        done = self._regctl("blob", "get", repository, digest)
        if done.returncode:
            _unreadable(done, f"the blob {repository.at(digest)} could not be read")
        body = done.stdout.encode()
        _hashed(body, digest, repository.at(digest))
        return body

    def copy(self, source: str, target: str) -> Digest:
        """Copy an image or a whole index, and return what the target names afterwards."""
        done = self._regctl("image", "copy", source, target)
        if done.returncode:
            _unreadable(done, f"{source} could not be copied to {target}")
        there, wanted = self.head(target), self.head(source)
        if there is None or there != wanted:
            raise OutsideError(
                f"{target} is {there or 'not there'} after {wanted} was copied to it",
                means="the registry changed the manifest, or another writer was faster",
                next_step="run again; if it stays, the registry rewrites manifests and cannot be used",
            )
        return there

    def fetch_layout(self, source: str, folder: Path) -> None:
        """Copy an image or an index, with all its platforms, into an OCI layout folder."""
        done = self._regctl("image", "copy", source, f"ocidir://{folder}:fetched")
        if done.returncode:
            _unreadable(done, f"{source} could not be fetched")

    def put_tag(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        """Let a tag name a manifest of the same repository; the manifest's bytes stay as they are."""
        if self.copy(repository.at(digest), repository.tagged(tag)) != digest:
            raise OutsideError(
                f"{repository.tagged(tag)} does not name {digest} after it was put there",
                means="another writer moved the tag at the same moment",
                next_step="sealift status",
            )

    def tags(self, repository: Repository) -> tuple[Tag, ...]:
        """List a repository's tags; one that does not exist has none."""
        done = self._regctl("tag", "ls", repository)
        if done.returncode:
            if _NOT_FOUND.search(done.stderr):
                return ()
            _unreadable(done, f"the tags of {repository} could not be read")
        return tuple(Tag(line) for line in done.stdout.split())

    def referrers(
        self, repository: Repository, digest: Digest, artifact_type: str = BUNDLE_TYPE
    ) -> tuple[Referrer, ...]:
        """List what refers to a manifest, through the Referrers API or the fallback tag.

        An empty list means that the registry said so. regctl takes any failure of the Referrers API,
        a 500 as well, for its absence, so the answers are read from its trace.
        """
        done = self._regctl(
            "-v", "trace", "--logopt", "json", "artifact", "list", repository.at(digest),
            "--filter-artifact-type", artifact_type, "--format", "body",
        )  # fmt: skip
        requests = [r for r in _trace(done.stderr) if f"/referrers/{digest}" in r.req_url]
        answers = {r.req_url: r.status for r in requests}
        wrong = sorted({s for s in answers.values() if s != _OK and s not in _NO_REFERRERS_API})
        if done.returncode or wrong or not answers:
            said = ", ".join(str(s) if s else "nothing" for s in wrong) or _words(done.stderr)
            raise OutsideError(
                f"the referrers of {repository.at(digest)} could not be read: the registry answered {said}",
                means="whether it is signed was not checked; this is not the same as unsigned",
                next_step="run again when the registry answers",
            )
        found = _decode(done.stdout, f"the referrers of {repository.at(digest)}").manifests or []
        return tuple(
            Referrer(digest=Digest(d.digest), artifact_type=d.artifact_type, annotations=d.annotations or {})
            for d in found
            if d.artifact_type == artifact_type
        )

    def attach(self, repository: Repository, digest: Digest, bundle: bytes, predicate_type: str) -> Digest:
        """Attach a Sigstore bundle to a manifest, in the form that cosign writes and finds.

        Never two at the same time on one subject: the fallback tag is read, changed and written.
        """
        done = self._regctl(
            "artifact", "put", "--subject", repository.at(digest), "--artifact-type", BUNDLE_TYPE,
            "--file-media-type", BUNDLE_TYPE, "--annotation", f"{CONTENT_ANNOTATION}=dsse-envelope",
            "--annotation", f"{PREDICATE_ANNOTATION}={predicate_type}",
            "--format", "{{ .Manifest.GetDescriptor.Digest }}", stdin=bundle,
        )  # fmt: skip
        if done.returncode:
            _unreadable(done, f"a bundle could not be attached to {repository.at(digest)}")
        return _digest(done)

    def artifact_get(self, repository: Repository, digest: Digest) -> bytes:
        """Return the one bundle that an artifact's manifest holds."""
        reference = repository.at(digest)
        layers = _decode(self.manifest(reference).decode(), reference).layers or []
        if [layer.media_type for layer in layers] != [BUNDLE_TYPE]:
            raise RefusedError(
                f"{reference} should hold one layer of type {BUNDLE_TYPE}",
                means=f"it holds {[layer.media_type for layer in layers]}",
            )
        return self.blob(repository, Digest(layers[0].digest))

    def bundles(
        self, repository: Repository, digest: Digest
    ) -> tuple[tuple[Digest, bytes | RefusedError], ...]:
        """Return every bundle attached to a manifest, by its own manifest's digest.

        One that is not in the form of a bundle comes as the error that says so: anyone who may write
        can attach anything, and a good one beside it still counts.
        """
        return tuple(
            (r.digest, self._bundle(repository, r.digest)) for r in self.referrers(repository, digest)
        )

    def _bundle(self, repository: Repository, digest: Digest) -> bytes | RefusedError:
        try:
            return self.artifact_get(repository, digest)
        except RefusedError as err:
            return err

    def _regctl(self, *words: str, stdin: bytes = b"") -> Completed:
        hosts = [word for host in self.plain_http for word in ("--host", f"reg={host},tls=disabled")]
        argv = ["regctl", *hosts, *words]
        return run(argv, env=self.env, stdin=stdin, timeout=self.timeout, check=False)


def _unreadable(done: Completed, what: str) -> NoReturn:
    if _OTHER_BYTES.search(done.stderr):
        raise RefusedError(
            f"{what}: it has other bytes than its name says", means=_words(done.stderr)
        ) from ProgramFailedError(done)
    raise OutsideError(what, means=_words(done.stderr)) from ProgramFailedError(done)


def _words(stderr: str) -> str:
    """Return what regctl said to people: its trace, which shows request headers, is left out."""
    lines = [line for line in stderr.splitlines() if not line.startswith("{")]
    return " ".join(lines).strip() or "nothing"


def _trace(stderr: str) -> Sequence[_Request]:
    found = []
    for line in stderr.splitlines():
        if line.startswith("{"):
            try:
                found.append(msgspec.json.decode(line, type=_Request))
            except msgspec.MsgspecError:
                continue
    return found


def _digest(done: Completed) -> Digest:
    text = done.stdout.strip()
    if not Digest.accepts(text):
        raise OutsideError(
            f"{text!r} came where a digest was expected", means="regctl or the registry changed"
        )
    return Digest(text)


def _decode(text: str, what: str) -> _Manifests:
    try:
        return msgspec.json.decode(text, type=_Manifests)
    except msgspec.MsgspecError as err:
        raise OutsideError(f"{what}: not the JSON that was expected", means=str(err)) from err


def _hashed(body: bytes, digest: Digest, what: str) -> None:
    got = Digest.of(body)
    if got != digest:
        raise RefusedError(
            f"{what} has other bytes than its name says",
            means=f"expected {digest}, got {got}: the registry or something on the way changed it",
        )
