"""What a verified bundle says: its statement in one strict form, and the claims of its certificate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sealift.errors import RefusedError
from sealift.model.claims import EXTENSIONS, Certified
from sealift.model.statements import JSON, Subject
from sealift.oci import documents

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_DSSE_PAYLOAD = "application/vnd.in-toto+json"
# cosign attest still writes the older one.
_STATEMENTS = frozenset({"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"})
_FULCIO = "1.3.6.1.4.1.57264.1."
# What can be computed again of a manifest's bytes: https://github.com/in-toto/attestation/blob/main/spec/v1/digest_set.md
_HASHES = {
    name: getattr(hashlib, name)
    for name in ("sha224", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512")
}


@dataclass(frozen=True, kw_only=True)
class Attested:
    """What a bundle says, after everything but its kind was checked, and the claims of who says it."""

    predicate_type: str
    predicate: JSON
    certified: Certified = field(default_factory=dict)


def read_statement(kind: str, payload: bytes, subject: Subject, manifest: bytes | None) -> tuple[str, JSON]:
    """Return the predicate's type and the predicate of a statement about one subject and nothing else.

    Digests of other algorithms are computed again from the ``manifest``; without it there may be none.
    """
    if kind != _DSSE_PAYLOAD:
        raise RefusedError(f"expected an in-toto statement in {_DSSE_PAYLOAD}, got another in {kind}")
    found = documents.read_json(payload, "the statement", documents.STATEMENT)
    match found:
        case {
            "_type": str(form),
            "predicateType": str(predicate_type),
            "subject": [*subjects],
            "predicate": dict(predicate),
        } if form in _STATEMENTS and len(found) == 4:  # noqa: PLR2004 - these four and no other
            _check_subject(subjects, subject, manifest)
            return predicate_type, predicate
        case _:
            raise RefusedError(
                f"expected an in-toto statement with _type, subject, predicateType and predicate alone, "
                f"got {', '.join(sorted(found))} of type {found.get('_type')!r}"
            )


def _check_subject(subjects: list[Any], subject: Subject, manifest: bytes | None) -> None:
    match subjects:
        case [{"name": str(name), "digest": {"sha256": str(sha256), **others}, **rest}] if not rest:
            if sha256 != subject.digest.hex:
                raise RefusedError(f"subject: expected {subject.digest.hex}, got {sha256}")
            if name != subject.repository:
                raise RefusedError(f"subject: expected the name {subject.repository}, got {name!r}")
            for algorithm, got in others.items():
                if algorithm not in _HASHES or manifest is None:
                    raise RefusedError(f"subject: its {algorithm} cannot be computed again")
                if (expected := _HASHES[algorithm](manifest).hexdigest()) != got:
                    raise RefusedError(f"subject: expected the {algorithm} {expected}, got {got}")
        case _:
            digests = [s.get("digest") for s in subjects if isinstance(s, Mapping)]
            got = ", ".join(map(str, digests)) or "none"
            raise RefusedError(
                f"subject: expected {subject.digest.hex} alone, with a name and digests, "
                f"got {len(subjects)}: {got}"
            )


def certified_by(certificate: Certificate) -> Certified:
    """Read the claims that Fulcio has put into a certificate; each is an UTF8String in DER."""
    from cryptography.hazmat import asn1

    numbers = {f"{_FULCIO}{number}": name for number, name in EXTENSIONS.items()}
    return {
        name: asn1.decode_der(str, extension.value.value)
        for extension in certificate.extensions
        if (name := numbers.get(extension.oid.dotted_string))
    }
