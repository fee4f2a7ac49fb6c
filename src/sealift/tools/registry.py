"""A registry, asked in this process by the OCI distribution specification.

    registry = Registry(plain_http=("localhost:5000",), env=env)
    registry.head("localhost:5000/app:1.2.3")

"Is not there" and "could not be read" are different answers everywhere: the first is a value, or
NotThereError; the second is another OutsideError. Nothing is asked twice here: the caller knows whether to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from sealift.errors import OutsideError, RefusedError
from sealift.model.codec import decode
from sealift.model.names import Digest, Repository, Tag
from sealift.oci.documents import MANIFEST
from sealift.tools import regctl
from sealift.tools.docker_login import for_programs
from sealift.tools.registry_bundle import (
    BUNDLE_TYPE,
    CONTENT_ANNOTATION,
    PREDICATE_ANNOTATION,
    Artifact,
    check_said,
)
from sealift.tools.registry_denied import UNAUTHORIZED, DeniedError, next_step_for
from sealift.tools.registry_http import NOT_FOUND, OK, Api, NotThereError
from sealift.tools.registry_objects import Manifest, Objects, unexpected
from sealift.tools.registry_readback import Readback, Reader
from sealift.tools.registry_referrers import Descriptor, Referrers

# https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidance-for-an-empty-descriptor
EMPTY_TYPE, EMPTY = "application/vnd.oci.empty.v1+json", b"{}"
# How regctl says that it was denied access, or that a repository does not exist; and what may pass beside it.
_DENIED = re.compile(
    r"\[http 40[134]\]|: unauthorized$|no credentials available|empty challenge header", re.MULTILINE
)
_MAY_PASS = re.compile(r"\[http (?:408|425|429|5\d\d)\]|dial tcp|i/o timeout|connection reset")
SUBJECT_HEADER = "OCI-Subject"
# Bytes of a layer that is read to look into it.
LAYER_LIMIT = 1 << 30


class ImmutableTagError(OutsideError):
    """A tag exists, and the registry does not let it be moved."""

    @classmethod
    def of(cls, repository: Repository, tag: Tag, error: OutsideError) -> ImmutableTagError:
        return cls(
            f"{repository.host} does not let the tag {repository.tagged(tag)} be moved: {error.happened}",
            means="the tag exists, and the registry, or a rule in it, makes it immutable",
            next_step=f"write `moving_tags: []` in ci/release.yaml and release another version; or make "
            f"{tag} mutable at {repository.host}, then run again",
            again=False,
        )


@dataclass(frozen=True, kw_only=True)
class Referrer:
    """A manifest that names another as its subject."""

    digest: Digest
    artifact_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)


class _Tags(msgspec.Struct, frozen=True):
    tags: list[str] | None


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Registries with the hosts that speak plain HTTP, and an environment of its own; threads may share it.

    ``env`` replaces the environment: its DOCKER_CONFIG says whose credentials are used. ``timeout`` is a
    copy's, in seconds.
    """

    plain_http: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    timeout: float = regctl.TIMEOUT
    # One pool of connections and one set of tokens for all threads.
    _objects: Objects = field(init=False, repr=False, compare=False)
    _referrers: Referrers = field(init=False, repr=False, compare=False)
    # What may be greater than documents are.
    _layers: Objects = field(init=False, repr=False, compare=False)
    _anonymous: Objects = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_objects", Objects(Api(plain_http=self.plain_http, env=self.env)))
        object.__setattr__(self, "_referrers", Referrers(self._objects))
        layers = Api(plain_http=self.plain_http, env=self.env, limit=LAYER_LIMIT)
        object.__setattr__(self, "_layers", Objects(layers))
        anonymous = Api(plain_http=self.plain_http, env=self.env, anonymous=True)
        object.__setattr__(self, "_anonymous", Objects(anonymous))

    def head(self, reference: str) -> Digest | None:
        """Return the digest that a reference names, or None when there is nothing."""
        return self._objects.head(*parsed(reference))

    def manifest(self, reference: str) -> bytes:
        """Return a manifest as the registry holds it, hashed again when the reference has a digest.

        Raises NotThereError when there is none.
        """
        return self._objects.manifest(*parsed(reference)).body

    def blob(self, repository: Repository, digest: Digest) -> bytes:
        """Return a small blob (a bundle, a configuration), hashed again, or raise NotThereError."""
        return self._objects.blob(repository, digest)

    def layer(self, repository: Repository, digest: Digest) -> bytes:
        """Read a layer, hashed again; it may be greater than other blobs."""
        return self._layers.blob(repository, digest)

    def has_blob(self, repository: Repository, digest: Digest) -> bool:
        """Tell whether the registry says that it holds a blob, of any size; its bytes are not read."""
        return self._objects.has_blob(repository, digest)

    def readback(self, repository: Repository, names: Mapping[str, Digest], *, blobs: bool) -> Readback:
        """Read tags and digests, and ``blobs`` below them, as other clients do; see ``registry_readback``."""
        reader = Reader.of(self._objects, self._anonymous, repository, next(iter(names.values())))
        return reader.read(repository, names, blobs=blobs)

    def listing_problems(self, repository: Repository, digest: Digest) -> tuple[str, ...]:
        """Compare the bundles that are listed with a login and without one, and with what they are."""
        reader = Reader.of(self._objects, self._anonymous, repository, digest)
        return reader.listing_problems(repository, digest, BUNDLE_TYPE)

    def copy(self, source: str, target: str) -> Digest:
        """Copy an image or a whole index, and return what the target names afterwards.

        What is missing below is copied also where the target has the index already.
        """
        if not target.startswith(regctl.LAYOUT) and (to := parsed(target)[0]).host not in self.plain_http:
            # regctl would send blobs in clear to an http:// address of a registry that it asks by HTTPS.
            self._objects.check_uploads(to)
        try:
            self._regctl_copy(source, target)
        except OutsideError as error:
            if _DENIED.search(error.means) and not _MAY_PASS.search(error.means):
                repository, _ = parsed(target)
                error.again, error.next_step = False, next_step_for(repository, self.env)
            raise
        there, wanted = self._copied(target), self._copied(source)
        if there is None or there != wanted:
            raise OutsideError(
                f"{target} is {there or 'not there'} after {wanted} was copied to it",
                means="the registry changed the manifest, or another writer was faster",
                next_step="run again; if it stays, the registry rewrites manifests and cannot be used",
            )
        return there

    def fetch_layout(self, source: str, folder: Path) -> None:
        """Copy an image or an index, with all its platforms, into an OCI layout folder."""
        self._regctl_copy(source, f"{regctl.LAYOUT}{folder}:fetched")

    def put_tag(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        """Let a tag name a manifest of the same repository; the manifest's bytes stay as they are.

        Raises ImmutableTagError where the tag exists and the registry does not let it be moved.
        """
        manifest = self._objects.manifest(repository, digest)
        try:
            self._objects.put_manifest(repository, tag, manifest)
        except OutsideError as error:
            if not _may_be_immutable(error):
                raise
            named = self._objects.head(repository, tag)
            if named == digest:
                # Some registries refuse to put a tag twice, also when it names the same manifest.
                return
            if named is not None:
                raise ImmutableTagError.of(repository, tag, error) from error
            raise
        if (named := self._objects.head(repository, tag)) != digest:
            raise OutsideError(
                f"{repository.tagged(tag)} names {named or 'nothing'} after {digest} was put there",
                means="another writer moved the tag at the same moment",
                next_step="sealift status",
            )

    def check_movable(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        """Put a tag where it is, which changes nothing; raise ImmutableTagError where that is refused.

        No question of the distribution API tells whether a tag can be moved.
        """
        manifest = self._objects.manifest(repository, digest)
        try:
            self._objects.put_manifest(repository, tag, manifest)
        except OutsideError as error:
            if not _may_be_immutable(error):
                raise
            raise ImmutableTagError.of(repository, tag, error) from error

    def tags(self, repository: Repository) -> tuple[Tag, ...]:
        """List a repository's tags; one that does not exist has none."""
        what = f"the tags of {repository} could not be read"
        found: list[str] = []
        for page in self._objects.api.pages(repository, "tags/list", headers={"Accept": "application/json"}):
            if page.status == NOT_FOUND:
                return ()
            if page.status != OK:
                raise self._objects.api.refused(page, what, repository)
            found += _tags(page.body, what)
        return tuple(Tag(name) for name in found)

    def referrers(
        self, repository: Repository, digest: Digest, artifact_type: str = BUNDLE_TYPE
    ) -> tuple[Referrer, ...]:
        """List what refers to a manifest, through the Referrers API or the fallback tag.

        An empty list means that the registry said so. Where bundles are listed as something else, which some
        registries and clients do, their manifests are read: so does cosign.
        """
        try:
            found = self._referrers.of(repository, digest)
        except OutsideError as err:
            raise OutsideError(
                f"the referrers of {repository.at(digest)} could not be read: {err.happened}",
                means="whether it is signed was not checked; this is not the same as unsigned"
                + (f"; {err.means}" if isinstance(err, DeniedError) else ""),
                next_step="run again when the registry answers" if err.again else err.next_step,
                again=err.again,
                retry_after=err.retry_after,
            ) from err
        # One that is listed several times is listed as what is looked for, if it is once.
        ours = {str(d.get("digest")): d for d in found if d.get("artifactType") == artifact_type}
        known = {d: ours.get(d, other) for other in found if Digest.accepts(d := str(other.get("digest")))}
        read = (self._read(repository, d, artifact_type) for d in known.values())
        return tuple(referrer for referrer in read if referrer is not None)

    def _read(self, repository: Repository, found: Descriptor, artifact_type: str) -> Referrer | None:
        """Read one descriptor; of another type it is a bundle where its manifest says so."""
        told = found.get("annotations")
        annotations: dict[str, str] = told if isinstance(told, dict) else {}
        digest = Digest(found["digest"])
        if found.get("artifactType") != artifact_type:
            if artifact_type != BUNDLE_TYPE:
                return None
            try:
                artifact = decode(self.manifest(repository.at(digest)), Artifact)
            except (NotThereError, RefusedError, msgspec.MsgspecError):
                # Every client that may write can list anything.
                return None
            if not artifact.is_bundle:
                return None
            annotations = annotations or artifact.annotations or {}
        return Referrer(digest=digest, artifact_type=artifact_type, annotations=annotations)

    def attach(self, repository: Repository, digest: Digest, bundle: bytes, predicate_type: str) -> Digest:
        """Attach a Sigstore bundle to a manifest, in the form that cosign writes and finds.

        Threads wait for each other on one subject; two processes must not work on one at the same time.
        """
        subject = self._objects.manifest(repository, digest)
        annotations = {CONTENT_ANNOTATION: "dsse-envelope", PREDICATE_ANNOTATION: predicate_type}
        artifact = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE_TYPE,
            "config": self._objects.put_blob(repository, EMPTY, EMPTY_TYPE),
            "layers": [self._objects.put_blob(repository, bundle, BUNDLE_TYPE)],
            "subject": subject.descriptor,
            "annotations": annotations,
        }
        manifest = Manifest(body=msgspec.json.encode(artifact), media_type=MANIFEST)
        added = {**manifest.descriptor, "artifactType": BUNDLE_TYPE, "annotations": annotations}
        with self._referrers.alone(repository.at(digest)):
            answer = self._objects.put_manifest(repository, manifest.digest, manifest)
            if answer.headers.get(SUBJECT_HEADER) != digest:
                self._referrers.add(repository, digest, added)
        return manifest.digest

    def bundles(
        self, repository: Repository, digest: Digest
    ) -> tuple[tuple[Digest, bytes | RefusedError], ...]:
        """Return every bundle attached to a manifest, by its own manifest's digest.

        One that is not in the form of a bundle, or is listed and not there, comes as the error that says
        so: anyone who may write can attach anything, and a good one beside it still counts.
        """
        return tuple((r.digest, self._bundle(repository, r)) for r in self.referrers(repository, digest))

    def _bundle(self, repository: Repository, found: Referrer) -> bytes | RefusedError:
        reference = repository.at(found.digest)
        try:
            artifact, layer = Artifact.of_bundle(self.manifest(reference), reference)
            bundle = self.blob(repository, Digest(layer.digest))
            check_said(bundle, artifact, layer, found.annotations, reference)
        except NotThereError as err:
            return RefusedError(f"{reference} is listed as a bundle: {err.happened}")
        except RefusedError as err:
            return err
        return bundle

    def _regctl_copy(self, source: str, target: str) -> None:
        with for_programs(self.env) as env:
            regctl.copy(source, target, plain_http=self.plain_http, env=env, timeout=self.timeout)

    def _copied(self, reference: str) -> Digest | None:
        if reference.startswith(regctl.LAYOUT):
            return regctl.layout_head(reference, env=self.env)
        return self.head(reference)


def parsed(reference: str) -> tuple[Repository, str]:
    """Part a reference into its repository and its digest, or its tag."""
    named, at, digest = reference.partition("@")
    parents, slash, last = named.rpartition("/")
    name, _, tag = last.partition(":")
    return Repository(f"{parents}{slash}{name}"), Digest(digest) if at else Tag(tag)


def _may_be_immutable(error: OutsideError) -> bool:
    """Tell whether a tag was refused for good; registries say so in many ways: 400, 403, 405, 409, 412."""
    return not error.again and not (isinstance(error, DeniedError) and error.status == UNAUTHORIZED)


def _tags(body: bytes, what: str) -> list[str]:
    try:
        found = decode(body, _Tags).tags or []
    except msgspec.MsgspecError as err:
        raise unexpected(what, err) from err
    if strange := [name for name in found if not Tag.accepts(name)]:
        raise unexpected(what, f"{strange[0]!r} is not a tag")
    return found
