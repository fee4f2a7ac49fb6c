"""The keys and certificates of a world's own Sigstore.

They live with the world: what an earlier run signed still verifies in this one. The password is no
secret: the servers want an encrypted key, and what protects each key is the mode of its file.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import shutil
import tempfile
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PASSWORD = "rehearsal"  # noqa: S105 - see above
ORGANIZATION = "sealift rehearsal"
# Before anything that a world can ever sign, and after.
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2044, 1, 1, tzinfo=dt.UTC)
_RSA_BITS = 2048

_Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class KeyFile(StrEnum):
    """The files in a world's folder of keys."""

    FULCIO = "fulcio.key.pem"
    FULCIO_ROOT = "fulcio.crt.pem"
    CT = "ct.key.pem"
    CT_PUBLIC = "ct.pub.pem"
    REKOR_V1 = "rekor1.key.pem"
    REKOR_V2 = "rekor2.key.pem"
    TSA = "tsa.key.pem"
    TSA_CHAIN = "tsa-chain.pem"
    ISSUER = "issuer.key.pem"
    ISSUER_TOKEN = "issuer.token"  # noqa: S105 - a file's name
    EMAIL_ISSUER = "email-issuer.key.pem"
    EMAIL_ISSUER_TOKEN = "email-issuer.token"  # noqa: S105 - a file's name


def make_keys(folder: Path) -> None:
    """Make every key of a new world, all together or none; an old world keeps its own."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        for name, content in _contents().items():
            descriptor = os.open(fresh / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
        fresh.rename(folder)
    except OSError:
        # Another process of this world was quicker, or the disk said no.
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _contents() -> dict[KeyFile, bytes]:
    p256 = ec.SECP256R1()
    fulcio, ct, rekor1, tsa_root, tsa = (ec.generate_private_key(p256) for _ in range(5))
    fulcio_root, tsa_top = _root(fulcio, "fulcio"), _root(tsa_root, "timestamp root")
    return {
        KeyFile.FULCIO: _pkcs8(fulcio, encrypted=True),
        KeyFile.FULCIO_ROOT: _pem(fulcio_root),
        # TesseraCT reads SEC 1 only.
        KeyFile.CT: ct.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        KeyFile.CT_PUBLIC: ct.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        KeyFile.REKOR_V1: _pkcs8(rekor1),
        KeyFile.REKOR_V2: _pkcs8(ed25519.Ed25519PrivateKey.generate()),
        KeyFile.TSA: _pkcs8(tsa, encrypted=True),
        # The root's key is used once, here, and forgotten.
        KeyFile.TSA_CHAIN: _pem(_timestamper(tsa, tsa_root, tsa_top)) + _pem(tsa_top),
        KeyFile.ISSUER: _pkcs8(rsa.generate_private_key(65537, _RSA_BITS)),
        KeyFile.ISSUER_TOKEN: secrets.token_urlsafe(32).encode(),
        KeyFile.EMAIL_ISSUER: _pkcs8(rsa.generate_private_key(65537, _RSA_BITS)),
        KeyFile.EMAIL_ISSUER_TOKEN: secrets.token_urlsafe(32).encode(),
    }


def _root(key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    """Make a root that both clients take: organization and name, strict constraints, a key identifier."""
    return (
        _certificate(key, name, issuer=_name(name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _timestamper(
    key: ec.EllipticCurvePrivateKey, root_key: ec.EllipticCurvePrivateKey, root: x509.Certificate
) -> x509.Certificate:
    """Make the certificate that signs timestamps: RFC 3161 wants that purpose alone, and critical."""
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())
    return (
        _certificate(key, "timestamp", issuer=root.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(purpose, critical=True)
        .add_extension(authority, critical=False)
        .sign(root_key, hashes.SHA256())
    )


def _certificate(key: ec.EllipticCurvePrivateKey, name: str, *, issuer: x509.Name) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _name(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pkcs8(key: _Private, *, encrypted: bool = False) -> bytes:
    how = BestAvailableEncryption(PASSWORD.encode()) if encrypted else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
