"""A world's own Sigstore on loopback: its keys, its trust, and whom it believes.

Example::

    sigstore = prepare_sigstore(world / "sigstore", profile=Profile.PUBLIC, claims=claims, cache=cache)
    with Supervised(log=world / "logs" / "supervisor.log") as services:
        services.start(sigstore_services(sigstore))
        sigstore.plant_first_entry()
        os.environ.update(sigstore.environment())
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sealift.errors import OutsideError
from sealift.model.codec import publish
from sealift.rehearsal.issuer import AUDIENCE, fetch_token, github_identity
from sealift.rehearsal.sigstore_keys import KeyFile, make_keys
from sealift.rehearsal.sigstore_trust import Profile, SigstorePorts, url, write_trust
from sealift.services.ports import LOOPBACK, lasting_ports

# What a stand-in for Google's base images is signed as.
EMAIL = "keyless@distroless.iam.gserviceaccount.com"

# How Fulcio makes a certificate of GitHub's claims; the public instance's own table, as facts.
# https://github.com/sigstore/fulcio/blob/main/config/identity/config.yaml
_GITHUB_EXTENSIONS = {
    "github-workflow-trigger": "event_name",
    "github-workflow-sha": "sha",
    "github-workflow-name": "workflow",
    "github-workflow-repository": "repository",
    "github-workflow-ref": "ref",
    "build-signer-uri": "{{ .url }}/{{ .job_workflow_ref }}",
    "build-signer-digest": "job_workflow_sha",
    "runner-environment": "runner_environment",
    "source-repository-uri": "{{ .url }}/{{ .repository }}",
    "source-repository-digest": "sha",
    "source-repository-ref": "ref",
    "source-repository-identifier": "repository_id",
    "source-repository-owner-uri": "{{ .url }}/{{ .repository_owner }}",
    "source-repository-owner-identifier": "repository_owner_id",
    "build-config-uri": "{{ .url }}/{{ .workflow_ref }}",
    "build-config-digest": "workflow_sha",
    "build-trigger": "event_name",
    "run-invocation-uri": (
        "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}"
    ),
    "source-repository-visibility-at-signing": "repository_visibility",
    "deployment-environment": "environment",
}


@dataclass(frozen=True, kw_only=True)
class LocalSigstore:
    """One world's Sigstore, prepared: its files are there, its services need not be."""

    folder: Path
    profile: Profile
    ports: SigstorePorts
    identity: str
    email: str

    @property
    def keys(self) -> Path:
        """The folder of every key."""
        return self.folder / "keys"

    @property
    def trusted_root(self) -> Path:
        """What verifies."""
        return self.folder / "trusted_root.json"

    @property
    def signing_config(self) -> Path:
        """What signs, for cosign."""
        return self.folder / "signing_config.json"

    @property
    def trust_config(self) -> Path:
        """Both in one file, for the sigstore library."""
        return self.folder / "trust_config.json"

    @property
    def issuer(self) -> str:
        """The issuer that stands in for GitHub's, as certificates name it."""
        return url(self.ports.issuer)

    @property
    def email_issuer(self) -> str:
        """The issuer that stands in for Google's."""
        return url(self.ports.email_issuer)

    def environment(self) -> dict[str, str]:
        """Return what a job with ``id-token: write`` finds: both clients sign by it unasked."""
        return {
            "GITHUB_ACTIONS": "true",
            # cosign appends &audience=...
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.issuer}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self._secret(KeyFile.ISSUER_TOKEN),
        }

    def email_token(self) -> str:
        """Fetch the token that base images are signed with."""
        return fetch_token(self.email_issuer, self._secret(KeyFile.EMAIL_ISSUER_TOKEN))

    def plant_first_entry(self) -> None:
        """Give a new Rekor v2 an entry of no meaning, once its service answers.

        cosign leaves zeros out of a bundle, and stricter clients then miss the index of a log's very
        first entry. Rekor v1 does the same for itself at its start.
        """
        planted = self.folder / "rekor2.planted"
        if self.profile is Profile.V2 and not planted.exists():
            _log_nothing(self.ports.rekor2)
            planted.touch()

    def _secret(self, name: KeyFile) -> str:
        return (self.keys / name).read_text(encoding="utf-8")


def prepare_sigstore(
    folder: Path,
    *,
    profile: Profile,
    claims: Mapping[str, str],
    cache: Path,
    email: str = EMAIL,
    server: str = "https://github.com",
) -> LocalSigstore:
    """Make what the services and the clients need, or complete it: keys and ports stay as they were.

    ``server`` is the GitHub that identities name; ``cache`` remembers which ports the worlds here have.
    """
    names = [field.name for field in fields(SigstorePorts)]
    ports = SigstorePorts(**lasting_ports(folder / "ports.json", names, claims=cache / "ports"))
    sigstore = LocalSigstore(
        folder=folder.absolute(),
        profile=profile,
        ports=ports,
        identity=github_identity(claims, server),
        email=email,
    )
    make_keys(sigstore.keys)
    publish(folder / "claims.json", json.dumps(dict(claims), indent=1).encode())
    config = fulcio_config(sigstore.issuer, sigstore.email_issuer, server)
    publish(folder / "fulcio.yaml", yaml.safe_dump(config).encode())
    write_trust(folder, sigstore.keys, ports, profile)
    return sigstore


def fulcio_config(issuer: str, email_issuer: str, server: str) -> dict[str, Any]:
    """Tell Fulcio whom to believe: workflows from one issuer, mail addresses from the other."""
    return {
        "oidc-issuers": {
            issuer: {
                "issuer-url": issuer,
                "client-id": AUDIENCE,
                "type": "ci-provider",
                "ci-provider": "github-workflow",
            },
            email_issuer: {"issuer-url": email_issuer, "client-id": AUDIENCE, "type": "email"},
        },
        "ci-issuer-metadata": {
            "github-workflow": {
                "default-template-values": {"url": server, "environment": ""},
                "extension-templates": _GITHUB_EXTENSIONS,
                "subject-alternative-name-template": "{{ .url }}/{{ .job_workflow_ref }}",
            }
        },
    }


def _log_nothing(port: int) -> None:
    """Log a signature by a key that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    signed = b"the first entry"
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    verifier = {
        "publicKey": {"rawBytes": base64.b64encode(public).decode()},
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
    }
    signature = base64.b64encode(key.sign(signed, ec.ECDSA(hashes.SHA256()))).decode()
    digest = base64.b64encode(hashlib.sha256(signed).digest()).decode()
    entry = {"digest": digest, "signature": {"content": signature, "verifier": verifier}}
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
    try:
        body = json.dumps({"hashedRekordRequestV002": entry})
        connection.request("POST", "/api/v2/log/entries", body, {"Content-Type": "application/json"})
        with connection.getresponse() as answer:
            said = answer.read().decode(errors="replace")
        if answer.status != HTTPStatus.CREATED:
            raise OutsideError(f"Rekor took no first entry: {answer.status} {said[:300]}")
    except (OSError, http.client.HTTPException) as error:
        raise OutsideError(f"Rekor took no first entry: {error}") from error
    finally:
        connection.close()
