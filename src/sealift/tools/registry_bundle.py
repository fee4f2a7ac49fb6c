"""A Sigstore bundle in a registry: the manifest that carries it, and what both say of themselves."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sealift.errors import RefusedError
from sealift.model.codec import decode
from sealift.model.names import Digest
from sealift.tools.http_limits import LIMIT

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
# What every version of it begins with: older clients wrote others.
_ANY_BUNDLE = "application/vnd.dev.sigstore.bundle"
CONTENT_ANNOTATION = "dev.sigstore.bundle.content"
PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType"


class Layer(msgspec.Struct, frozen=True, rename="camel"):
    """The blob that is the bundle."""

    digest: str
    media_type: str = ""
    size: int = 0


class Artifact(msgspec.Struct, frozen=True, rename="camel"):
    """The manifest of something attached; more in it is of no interest here."""

    layers: tuple[Layer, ...] | None = None
    artifact_type: str | None = None
    annotations: dict[str, str] | None = None

    @property
    def is_bundle(self) -> bool:
        """Whether it says so itself, or holds one."""
        kinds = [self.artifact_type or "", *(layer.media_type for layer in self.layers or ())]
        return any(kind.startswith(_ANY_BUNDLE) for kind in kinds)

    @classmethod
    def of_bundle(cls, body: bytes, reference: str) -> tuple[Artifact, Layer]:
        """Read a manifest that must hold one bundle; its bytes are as named, so what is wrong stays wrong."""
        try:
            artifact = decode(body, cls)
        except msgspec.MsgspecError as err:
            raise RefusedError(f"{reference} is no manifest: {err}") from err
        match artifact.layers:
            case (layer,) if layer.media_type.startswith(_ANY_BUNDLE):
                if layer.size > LIMIT or not Digest.accepts(layer.digest):
                    raise RefusedError(f"{reference} names a bundle that cannot be read: {layer.size} bytes")
                return artifact, layer
            case layers:
                raise RefusedError(
                    f"{reference} should hold one layer of type {BUNDLE_TYPE}",
                    means=f"it holds {[layer.media_type for layer in layers or ()]}",
                )


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    payload: bytes = b""


class _Statement(msgspec.Struct, frozen=True, rename="camel"):
    predicate_type: str = ""


class _Bundle(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str = ""
    dsse_envelope: _Envelope = _Envelope()


def check_said(
    bundle: bytes, artifact: Artifact, layer: Layer, listed: Mapping[str, str], reference: str
) -> None:
    """Refuse a bundle of which its manifest, or the list that names it, says something else than it does.

    Nothing is verified here; what cannot be read is left to the verifier.
    """
    try:
        found = decode(bundle, _Bundle)
        said = decode(found.dsse_envelope.payload, _Statement).predicate_type
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    told = {m.get(PREDICATE_ANNOTATION, said) for m in (listed, artifact.annotations or {})}
    if told != {said}:
        raise RefusedError(
            f"{reference} is listed as {', '.join(sorted(told - {said}))} and says {said}",
            means="some clients look for what is listed, others for what is signed",
        )
    if found.media_type not in ("", layer.media_type):
        raise RefusedError(f"{reference} holds a {found.media_type} and calls it {layer.media_type}")
