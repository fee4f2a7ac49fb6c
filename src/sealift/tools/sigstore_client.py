"""Signing and verifying with the sigstore library.

    signer = SigstoreSigner(trust_config=folder / "trust_config.json", token=lambda: ambient_token(env))
    bundles = signer.sign_batch(statements)

    verifier = BundleVerifier(trusted_root=folder / "trusted_root.json", identity=identity, claims=claims)
    predicate = verifier.verify(bundle, digest=digest, predicate_type=PredicateType.SIGNATURE)

Without a file it is the public instance, and its keys come by TUF; with one, nothing else is asked.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from sealift.errors import OutsideError, RefusedError, SealiftError, UsageError
from sealift.model.names import Digest
from sealift.model.statements import JSON, Claims, Identity, Statement

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig, TrustedRoot
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer as LibrarySigner
    from sigstore.verify.policy import VerificationPolicy

AUDIENCE = "sigstore"
THREADS = 16
ATTEMPTS = 3
_OK = 200
_DSSE_PAYLOAD = "application/vnd.in-toto+json"
# cosign attest still writes the older one.
_STATEMENTS = frozenset({"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"})


@dataclass(frozen=True, kw_only=True)
class Attested:
    """What a bundle says, after everything but its kind was checked."""

    predicate_type: str
    predicate: JSON


def ambient_token(env: Mapping[str, str] | None = None) -> str:
    """Ask GitHub Actions, or what stands in for it, for an identity token.

    https://docs.github.com/en/actions/reference/security/oidc
    """
    import urllib3

    told = os.environ if env is None else env
    url, secret = told.get("ACTIONS_ID_TOKEN_REQUEST_URL"), told.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    if not url or not secret:
        raise UsageError(
            "there is no identity here to sign with",
            means="only a GitHub Actions job with 'id-token: write', or a rehearsal, has one",
            next_step="push the tag, or rehearse: sealift release",
        )
    joined = "&" if urlsplit(url).query else "?"
    try:
        answer = urllib3.request(
            "GET",
            f"{url}{joined}{urlencode({'audience': AUDIENCE})}",
            headers={"Authorization": f"bearer {secret}"},
            timeout=30,
        )
        if answer.status != _OK:
            raise OutsideError(f"the identity provider answered {answer.status} when asked for a token")
        return str(json.loads(answer.data)["value"])
    except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError) as err:
        # The words of the cause may hold the address with its secrets; its type says enough.
        raise OutsideError(f"no identity token came: {type(err).__name__}") from None


def signatory(token: str) -> tuple[Identity, Claims]:
    """Say whom a GitHub Actions token will make sign: what its certificate is going to carry."""
    claims = _identity_token(token)._unverified_claims  # noqa: SLF001 - the library shows no other way
    try:
        identity = Identity(san=f"https://github.com/{claims['job_workflow_ref']}", issuer=claims["iss"])
        return identity, Claims(
            repository=claims["repository"],
            commit=claims["sha"],
            ref=claims["ref"],
            workflow=claims["workflow"],
            trigger=claims["event_name"],
        )
    except KeyError as err:
        raise UsageError(f"the identity token has no claim {err}: it is not a GitHub workflow's") from err


def token_of(identity: Identity, claims: Claims, env: Mapping[str, str] | None = None) -> str:
    """Ask for a token, and refuse one of somebody else before a public log has it for ever.

    A claim that is None is not asked.
    """
    token = ambient_token(env)
    got_identity, got_claims = signatory(token)
    asked = {"identity": (identity.san, got_identity.san), "issuer": (identity.issuer, got_identity.issuer)}
    for name in ("repository", "commit", "ref", "workflow", "trigger"):
        if (expected := getattr(claims, name)) is not None:
            asked[name] = (expected, getattr(got_claims, name))
    wrong = [f"{name}: expected {want}, got {got}" for name, (want, got) in asked.items() if want != got]
    if wrong:
        raise RefusedError(
            f"this job would sign as somebody else: {'; '.join(wrong)}",
            means="the token is the job's own word for commit and workflow, and the plan is another's",
            next_step="run the workflow on the tag that the plan is of",
        )
    return token


@dataclass(frozen=True, kw_only=True)
class SigstoreSigner:
    """Signs with one short-lived certificate; the log entries are made in parallel."""

    trust_config: Path | None
    token: Callable[[], str] = ambient_token

    def sign_batch(self, statements: Sequence[Statement]) -> list[bytes]:
        """Return one bundle for each statement, in their order."""
        from sigstore.sign import SigningContext

        if not statements:
            return []
        config = _trust_config(self.trust_config)
        token = _identity_token(self.token())
        with _outside("Sigstore gave no certificate"):
            context = SigningContext.from_trust_config(config)
            stamped = bool(config.signing_config.get_tsas())
            # The certificate and its key are made once, here, and shared by the threads.
            with context.signer(token) as signer, ThreadPoolExecutor(THREADS) as pool:
                return list(pool.map(lambda s: _entry(signer, s, stamped=stamped), statements))


class BundleVerifier:
    """Accepts bundles of one identity, with the claims of one workflow run."""

    def __init__(
        self, *, trusted_root: Path | None, identity: Identity, claims: Claims | None = None
    ) -> None:
        from sigstore.errors import Error
        from sigstore.verify import Verifier

        self.trusted_root = trusted_root
        self.identity = identity
        self.claims = claims or Claims()
        try:
            self._verifier = Verifier(trusted_root=_trusted_root(trusted_root))
        except Error as err:
            raise UsageError(f"{trusted_root} is not a Sigstore trusted root: {err}") from err
        self._policy = _policy(self.identity, self.claims)

    def read(self, bundle: bytes, *, digest: Digest) -> Attested:
        """Check a bundle and that it speaks of ``digest``, and return what it says."""
        from sigstore.models import Bundle

        try:
            kind, payload = self._verifier.verify_dsse(Bundle.from_json(bundle), self._policy)
            statement = json.loads(payload)
        except Exception as err:
            # A stranger wrote these bytes: whatever breaks on them is a refusal, never a crash.
            raise RefusedError(f"the bundle is not accepted: {_words(err)}") from err
        return _attested(kind, statement, digest)

    def verify(self, bundle: bytes, *, digest: Digest, predicate_type: str) -> JSON:
        """Check everything, and return the predicate."""
        said = self.read(bundle, digest=digest)
        if said.predicate_type != predicate_type:
            raise RefusedError(f"predicate type: expected {predicate_type}, got {said.predicate_type}")
        return said.predicate


def _entry(signer: LibrarySigner, statement: Statement, *, stamped: bool) -> bytes:
    """Sign one statement and log it; what fails outside is tried again with the same certificate."""
    from sigstore.dsse import StatementBuilder, Subject

    subject = Subject(
        name=statement.subject.repository,
        digest={"sha256": statement.subject.digest.hex},  # type: ignore[arg-type]
    )
    builder = StatementBuilder().subjects([subject]).predicate_type(statement.predicate_type)
    built = builder.predicate(statement.predicate).build()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _outside(f"{statement.predicate_type} of {statement.subject} was not signed"):
                bundle = signer.sign_dsse(built)
                # The library only warns when the timestamp authority does not answer.
                if not stamped or bundle.verification_material.timestamp_verification_data is not None:
                    return bundle.to_json().encode()
        except OutsideError:
            if attempt == ATTEMPTS:
                raise
        time.sleep(attempt)
    raise OutsideError(
        f"the timestamp authority gave {statement.subject} no timestamp", next_step="run again"
    )


def _attested(kind: str, statement: Any, digest: Digest) -> Attested:
    match statement:
        case {
            "_type": str(form),
            "predicateType": str(predicate_type),
            "subject": [*subjects],
            **rest,
        } if kind == _DSSE_PAYLOAD and form in _STATEMENTS:
            got = [s.get("digest", {}).get("sha256") for s in subjects if isinstance(s, dict)]
            if digest.hex not in got:
                raise RefusedError(
                    f"subject: expected {digest.hex}, got {', '.join(map(str, got)) or 'none'}"
                )
            predicate = rest.get("predicate")
            return Attested(
                predicate_type=predicate_type, predicate=predicate if isinstance(predicate, dict) else {}
            )
        case _:
            raise RefusedError(f"expected an in-toto statement in {_DSSE_PAYLOAD}, got another in {kind}")


def _policy(identity: Identity, claims: Claims) -> VerificationPolicy:
    """Compose what the certificate must carry; a claim that is None is not asked."""
    from sigstore.verify import policy

    asked = [
        (policy.GitHubWorkflowRepository, claims.repository),
        (policy.GitHubWorkflowSHA, claims.commit),
        (policy.GitHubWorkflowRef, claims.ref),
        (policy.GitHubWorkflowName, claims.workflow),
        (policy.GitHubWorkflowTrigger, claims.trigger),
    ]
    return policy.AllOf(
        [
            policy.OIDCIssuer(identity.issuer),
            policy.Identity(identity=identity.san),
            *(kind(value) for kind, value in asked if value is not None),
        ]
    )


def _trust_config(path: Path | None) -> ClientTrustConfig:
    from sigstore.models import ClientTrustConfig

    if path is None:
        with _outside("the public instance's keys could not be fetched"):
            return ClientTrustConfig.production()
    try:
        return ClientTrustConfig.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise UsageError(f"{path} is not a Sigstore client's trust configuration: {err}") from err


def _trusted_root(path: Path | None) -> TrustedRoot:
    from sigstore.errors import Error
    from sigstore.models import TrustedRoot

    if path is None:
        return _trust_config(None).trusted_root
    try:
        return TrustedRoot.from_file(str(path))
    except (OSError, ValueError, Error) as err:
        raise UsageError(f"{path} is not a Sigstore trusted root: {err}") from err


def _identity_token(raw: str) -> IdentityToken:
    from sigstore.oidc import IdentityError, IdentityToken

    try:
        return IdentityToken(raw)
    except IdentityError as err:
        raise OutsideError(f"the identity token cannot be used: {err}") from None


class _outside:  # noqa: N801 - it reads as the word it is in a with statement
    """Translate what the library raises when Fulcio, the log or the network fails."""

    def __init__(self, happened: str) -> None:
        self._happened = happened

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, err: BaseException | None, trace: object) -> None:
        if err is None or isinstance(err, SealiftError) or not isinstance(err, Exception):
            return
        raise OutsideError(f"{self._happened}: {_words(err)}", next_step="run again") from err


def _words(err: BaseException) -> str:
    """Return an error's words and its cause's: the library often keeps the point in the cause."""
    said = str(err) or type(err).__name__
    return f"{said} ({err.__cause__})" if err.__cause__ is not None else said
