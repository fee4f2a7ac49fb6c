"""What clients must know of a world's own Sigstore: its keys to trust, its addresses to sign with.

Both logs are trusted whichever signs, so what one profile signed verifies in the other.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from sealift.model.codec import publish
from sealift.rehearsal.sigstore_keys import START, KeyFile

HOST = "localhost"
_VALID = {"start": START.strftime("%Y-%m-%dT%H:%M:%SZ")}
_MEDIA = "application/vnd.dev.sigstore"

JSON = dict[str, Any]


class Profile(StrEnum):
    """Which log signs: what the public instance uses today, or what it moves to."""

    PUBLIC = "public"
    V2 = "v2"


@dataclass(frozen=True, kw_only=True)
class SigstorePorts:
    """The ports of one world's Sigstore; the issuers' are inside its certificates."""

    issuer: int
    email_issuer: int
    ctlog: int
    fulcio: int
    fulcio_grpc: int
    rekor1: int
    rekor2: int
    rekor2_grpc: int
    rekor2_metrics: int
    tsa: int


def url(port: int) -> str:
    """Name a service by the host name that its certificates and checkpoints carry."""
    return f"http://{HOST}:{port}"


def trusted_root(keys: Path, ports: SigstorePorts) -> JSON:
    """Return what verifies.

    https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_trustroot.proto
    """
    ct, rekor1, rekor2 = (_public(keys / name) for name in (KeyFile.CT, KeyFile.REKOR_V1, KeyFile.REKOR_V2))
    return {
        "mediaType": f"{_MEDIA}.trustedroot+json;version=0.1",
        "tlogs": [
            _log(url(ports.rekor1), rekor1, "PKIX_ECDSA_P256_SHA_256", hashlib.sha256(rekor1).digest()),
            _log(url(ports.rekor2), rekor2, "PKIX_ED25519", _checkpoint_id(rekor2)),
        ],
        "certificateAuthorities": [_authority(url(ports.fulcio), keys / KeyFile.FULCIO_ROOT)],
        "ctlogs": [_log(url(ports.ctlog), ct, "PKIX_ECDSA_P256_SHA_256", hashlib.sha256(ct).digest())],
        "timestampAuthorities": [_authority(_timestamp_url(ports), keys / KeyFile.TSA_CHAIN)],
    }


def signing_config(ports: SigstorePorts, profile: Profile) -> JSON:
    """Return what signs."""
    rekor = (ports.rekor1, 1) if profile is Profile.PUBLIC else (ports.rekor2, 2)
    return {
        "mediaType": f"{_MEDIA}.signingconfig.v0.2+json",
        "caUrls": [_service(url(ports.fulcio), 1)],
        "oidcUrls": [_service(url(ports.issuer), 1)],
        "rekorTlogUrls": [_service(url(rekor[0]), rekor[1])],
        "rekorTlogConfig": {"selector": "ANY"},
        "tsaUrls": [_service(_timestamp_url(ports), 1)],
        "tsaConfig": {"selector": "ANY"},
    }


def write_trust(folder: Path, keys: Path, ports: SigstorePorts, profile: Profile) -> None:
    """Write ``trusted_root.json``, ``signing_config.json`` and both in one, ``trust_config.json``."""
    root, signing = trusted_root(keys, ports), signing_config(ports, profile)
    both = {
        "mediaType": f"{_MEDIA}.clienttrustconfig.v0.1+json",
        "trustedRoot": root,
        "signingConfig": signing,
    }
    for name, value in (("trusted_root", root), ("signing_config", signing), ("trust_config", both)):
        publish(folder / f"{name}.json", json.dumps(value, indent=1).encode())


def _timestamp_url(ports: SigstorePorts) -> str:
    return f"{url(ports.tsa)}/api/v1/timestamp"


def _service(address: str, version: int) -> JSON:
    return {"url": address, "majorApiVersion": version, "validFor": _VALID, "operator": "rehearsal"}


def _log(address: str, public: bytes, details: str, key_id: bytes) -> JSON:
    return {
        "baseUrl": address,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": _base64(public), "keyDetails": details, "validFor": _VALID},
        "logId": {"keyId": _base64(key_id)},
    }


def _authority(address: str, chain: Path) -> JSON:
    certificates = x509.load_pem_x509_certificates(chain.read_bytes())
    subject = certificates[-1].subject
    return {
        "subject": {
            "organization": _only(subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)),
            "commonName": _only(subject.get_attributes_for_oid(NameOID.COMMON_NAME)),
        },
        "uri": address,
        "certChain": {
            "certificates": [{"rawBytes": _base64(c.public_bytes(Encoding.DER))} for c in certificates]
        },
        "validFor": _VALID,
    }


def _only(attributes: Sequence[x509.NameAttribute[str | bytes]]) -> str:
    (attribute,) = attributes
    return str(attribute.value)


def _checkpoint_id(public: bytes) -> bytes:
    """Name an Ed25519 log as its checkpoints do: by origin, algorithm and the key's last 32 bytes."""
    return hashlib.sha256(HOST.encode() + b"\n\x01" + public[-32:]).digest()


def _public(key: Path) -> bytes:
    private = load_pem_private_key(key.read_bytes(), password=None)
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
