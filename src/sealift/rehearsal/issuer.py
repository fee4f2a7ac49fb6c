"""An OpenID Connect issuer on loopback that mints the identity tokens of GitHub Actions.

Fulcio asks it for its keys, as it asks GitHub for theirs, and both Sigstore clients take their token
from it by the way they take it in a workflow: the two ``ACTIONS_ID_TOKEN_REQUEST_*`` variables.
With ``--email`` it mints the token of a mail address instead, as Google's issuer does: Fulcio knows one
kind of identity for each issuer.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import http.client
import json
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sealift.errors import OutsideError, SealiftError, UsageError
from sealift.model.config import Signer
from sealift.model.names import Version

AUDIENCE = "sigstore"
WORKFLOW = ".github/workflows/release.yml"
_HOST = "127.0.0.1"
_LIFETIME = 900
# Clocks of one machine agree; that of a test in a container may lag a little.
_SKEW = 5

JSON = dict[str, Any]
_OPEN = Signer()


def github_claims(
    repository: str, commit: str, version: Version, signer: Signer = _OPEN, workflow: str = WORKFLOW
) -> dict[str, str]:
    """Return what GitHub says of a workflow run that a version's tag has started.

    ``signer`` is what ci/release.yaml says of the repository; numbers that it leaves open follow from names.
    https://docs.github.com/en/actions/reference/security/oidc
    """
    owner, slash, name = repository.partition("/")
    if not (owner and slash and name) or "/" in name:
        raise UsageError(f"{repository!r} is not a GitHub repository", next_step="write it as owner/name")
    ref = f"refs/tags/{version.git_tag}"
    file = f"{repository}/{workflow}@{ref}"
    signed_by = signer.signed_by(repository, workflow, ref)
    own = signed_by.startswith(f"{repository}/") and signed_by.endswith(f"@{ref}")
    return {
        "sub": f"repo:{repository}:ref:{ref}",
        "event_name": "push",
        "job_workflow_ref": signed_by,
        "job_workflow_sha": commit if own else hashlib.sha256(signed_by.encode()).hexdigest()[:40],
        "ref": ref,
        "repository": repository,
        "repository_id": str(signer.repository_id or _number(repository)),
        "repository_owner": owner,
        "repository_owner_id": str(signer.owner_id or _number(owner)),
        "repository_visibility": signer.visibility or "public",
        "run_attempt": "1",
        "run_id": "1",
        "runner_environment": "github-hosted",
        "sha": commit,
        "workflow": Path(workflow).stem,
        "workflow_ref": file,
        "workflow_sha": commit,
    }


def github_identity(claims: Mapping[str, str], server: str = "https://github.com") -> str:
    """Return the name that Fulcio writes into the certificate of a workflow on a GitHub."""
    return f"{server}/{claims['job_workflow_ref']}"


def email_claims(email: str) -> JSON:
    """Return what Google's issuer says of a service account."""
    return {"sub": _number(email), "email": email, "email_verified": True}


def fetch_token(issuer: str, request_token: str, audience: str = AUDIENCE) -> str:
    """Ask a running issuer for a token."""
    connection = http.client.HTTPConnection(_HOST, urlsplit(issuer).port or 80, timeout=10)
    headers = {"Authorization": f"bearer {request_token}"}
    try:
        connection.request("GET", f"/token?{urlencode({'audience': audience})}", headers=headers)
        with connection.getresponse() as answer:
            if answer.status != HTTPStatus.OK:
                raise OutsideError(f"the issuer {issuer} answered {answer.status}")
            return str(json.loads(answer.read())["value"])
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        raise OutsideError(f"the issuer {issuer} does not answer: {error}") from error
    finally:
        connection.close()


@dataclass(frozen=True, kw_only=True)
class Issuer:
    """Mints tokens and answers requests; knows nothing of sockets."""

    url: str
    key: RSAPrivateKey
    request_token: str
    # Asked for every token: a kept issuer serves the next version, too.
    claims: Callable[[], JSON]

    @property
    def key_id(self) -> str:
        """Name the key by its modulus: another world's issuer has another name for its own."""
        return hashlib.sha256(str(self.key.public_key().public_numbers().n).encode()).hexdigest()[:16]

    def mint(self, audience: str) -> str:
        """Sign a token for one audience."""
        now = int(time.time())
        when = {"iat": now, "nbf": now - _SKEW, "exp": now + _LIFETIME, "jti": secrets.token_hex(16)}
        return jwt.encode(
            {**self.claims(), **when, "iss": self.url, "aud": audience},
            self.key,
            algorithm="RS256",
            headers={"kid": self.key_id},
        )

    def answer(self, target: str, authorization: str) -> tuple[HTTPStatus, JSON]:
        """Answer one GET request."""
        asked = urlsplit(target)
        match asked.path:
            case "/.well-known/openid-configuration":
                return HTTPStatus.OK, self._discovery()
            case "/keys":
                return HTTPStatus.OK, {"keys": [self._public_key()]}
            case "/token":
                kind, _, given = authorization.partition(" ")
                right = hmac.compare_digest(given.encode(), self.request_token.encode())
                if kind.lower() != "bearer" or not right:
                    return HTTPStatus.UNAUTHORIZED, {"message": "the request token is not this world's"}
                audience = parse_qs(asked.query).get("audience", [f"{self.url}/nobody"])[0]
                return HTTPStatus.OK, {"value": self.mint(audience)}
            case _:
                return HTTPStatus.NOT_FOUND, {"message": "not found"}

    def _public_key(self) -> JSON:
        key: JSON = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {**key, "kid": self.key_id, "use": "sig", "alg": "RS256"}

    def _discovery(self) -> JSON:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
        }


def serve(issuer: Issuer, port: int) -> ThreadingHTTPServer:
    """Bind the issuer to its port, which is inside certificates and cannot be another."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, value = issuer.answer(self.path, self.headers.get("Authorization", ""))
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    try:
        return ThreadingHTTPServer((_HOST, port), Handler)
    except OSError as error:
        raise OutsideError(
            f"port {port} is taken, and this world's issuer needs it: {error.strerror}",
            means="the issuer's address is inside the certificates of this world",
            next_step="end what listens there (ss -ltnp), or play in another world: --world-name NAME",
        ) from error


def load_issuer(url: str, key: Path, request_token: Path, claims: Callable[[], JSON]) -> Issuer:
    """Read the secrets of the issuer that is known by this address from its world."""
    private = load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(private, RSAPrivateKey):
        raise UsageError(f"{key} is not an RSA key")
    token = request_token.read_text(encoding="utf-8").strip()
    if not token:
        raise UsageError(f"{request_token} is empty")
    return Issuer(url=url, key=private, request_token=token, claims=claims)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--url", help="the address in tokens, where another port leads here")
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--request-token-file", type=Path, required=True)
    who = parser.add_mutually_exclusive_group(required=True)
    who.add_argument("--claims", type=Path)
    who.add_argument("--email")
    given = parser.parse_args(argv)

    def claims() -> JSON:
        if given.email:
            return email_claims(given.email)
        read: JSON = json.loads(given.claims.read_text(encoding="utf-8"))
        return read

    url = given.url or f"http://localhost:{given.port}"
    try:
        serve(load_issuer(url, given.key, given.request_token_file, claims), given.port).serve_forever()
    except SealiftError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a service's log, not the release's words
        return error.exit_code
    return 0


def _number(name: str) -> str:
    """Stand in for a number of GitHub's: always the same for one name, another for others."""
    return str(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))


if __name__ == "__main__":
    sys.exit(main())
