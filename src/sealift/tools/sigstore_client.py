"""Signing and verifying with the sigstore library.

    signer = SigstoreSigner(trust_config=folder / "trust_config.json", token=lambda: ambient_token(env))
    bundles = signer.sign_batch(statements)

    verifier = BundleVerifier(trusted_root=folder / "trusted_root.json", identity=identity, claims=claims)
    predicate = verifier.read(bundle, subject).predicate

Without a file it is the public instance, and its keys come by TUF; with one, nothing else is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sealift import process
from sealift.errors import OutsideError, RefusedError, SealiftError, UsageError
from sealift.model.claims import problems
from sealift.model.names import Digest
from sealift.model.statements import Claims, Identity, Statement, Subject
from sealift.oci import documents
from sealift.tools.attested import Attested, certified_by, read_statement
from sealift.tools.sigstore_outside import fetch_keys_by_policy, hurry_all, outside, own_error, words
from sealift.tools.sigstore_token import ambient_token, identity_token

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig, TrustedRoot
    from sigstore.sign import Signer as LibrarySigner
    from sigstore.verify.policy import VerificationPolicy

# A log of the second version answers with its next checkpoint: entries wait for the same one, not in turn.
THREADS = 32


@dataclass(kw_only=True)
class SigstoreSigner:
    """Signs with one short-lived certificate; the log entries are made in parallel.

    What a try that broke off has made is kept for the next one: a public log keeps every entry for ever.
    """

    trust_config: Path | None
    token: Callable[[], str] = ambient_token
    _made: list[tuple[Statement, bytes]] = field(default_factory=list, init=False, repr=False)

    def sign_batch(self, statements: Sequence[Statement]) -> list[bytes]:
        """Return one bundle for each statement, in their order."""
        if missing := [s for s in statements if self._bundle(s) is None]:
            self._sign(missing)
        return [bundle for s in statements if (bundle := self._bundle(s)) is not None]

    def _bundle(self, statement: Statement) -> bytes | None:
        return next((bundle for made, bundle in self._made if made == statement), None)

    def _sign(self, statements: Sequence[Statement]) -> None:
        from sigstore.sign import SigningContext

        config = _trust_config(self.trust_config)
        token = identity_token(self.token())
        with _outside("Sigstore gave no certificate"):
            context = SigningContext.from_trust_config(config)
            stamped = bool(config.signing_config.get_tsas())
            pool = ThreadPoolExecutor(THREADS, initializer=hurry_all(context))
            # The certificate and its key are made once, here, and shared by the threads.
            with context.signer(token) as signer, pool:
                for entry in [pool.submit(self._keep, signer, s, stamped=stamped) for s in statements]:
                    entry.result()

    def _keep(self, signer: LibrarySigner, statement: Statement, *, stamped: bool) -> None:
        self._made.append((statement, _entry(signer, statement, stamped=stamped)))


class BundleVerifier:
    """Accepts bundles of one identity, with the claims of one workflow run.

    What was accepted is remembered by its bytes' hash: whoever signs reads the same bytes back.
    """

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
        self._accepted: dict[tuple[Digest, Subject], Attested] = {}

    def read(self, bundle: bytes, subject: Subject, manifest: bytes | None = None) -> Attested:
        """Check a bundle and that it speaks of ``subject`` alone, and return what it says.

        ``manifest`` is the subject's, of which a bundle may give further digests.
        """
        key = (Digest.of(bundle), subject)
        if (known := self._accepted.get(key)) is None:
            known = self._accepted[key] = self._check(bundle, subject, manifest)
        return known

    def _check(self, bundle: bytes, subject: Subject, manifest: bytes | None) -> Attested:
        from sigstore.models import Bundle

        try:
            # cosign refuses a bundle with a member twice, too.
            documents.read_json(bundle, "it", documents.STATEMENT)
            read = Bundle.from_json(bundle)
            kind, payload = self._verifier.verify_dsse(read, self._policy)
            certified = certified_by(read.signing_certificate)
        except Exception as err:
            # A stranger wrote these bytes: whatever breaks on them is a refusal, never a crash.
            raise RefusedError(f"the bundle is not accepted: {words(err)}") from err
        if wrong := list(problems(certified, self.identity, self.claims)):
            raise RefusedError(f"the certificate is not this release's: {'; '.join(wrong)}")
        predicate_type, predicate = read_statement(kind, payload, subject, manifest)
        return Attested(predicate_type=predicate_type, predicate=predicate, certified=certified)


def _entry(signer: LibrarySigner, statement: Statement, *, stamped: bool) -> bytes:
    """Sign one statement and log it."""
    from sigstore.dsse import StatementBuilder
    from sigstore.dsse import Subject as Named

    process.go_on()
    subject = Named(
        name=statement.subject.repository,
        digest={"sha256": statement.subject.digest.hex},  # type: ignore[arg-type]
    )
    builder = StatementBuilder().subjects([subject]).predicate_type(statement.predicate_type)
    built = builder.predicate(statement.predicate).build()
    with _outside(f"{statement.predicate_type} of {statement.subject} was not signed"):
        bundle = signer.sign_dsse(built)
    # Whoever promises a timestamp and has none must not be believed.
    if stamped and bundle.verification_material.timestamp_verification_data is None:
        raise OutsideError(
            f"the timestamp authority gave {statement.subject} no timestamp", next_step="run again"
        )
    return bundle.to_json().encode()


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
            fetch_keys_by_policy()
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


class _outside:  # noqa: N801 - it reads as the word it is in a with statement
    """Translate what the library raises when Fulcio, the log or the network fails."""

    def __init__(self, happened: str) -> None:
        self._happened = happened

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, err: BaseException | None, trace: object) -> None:
        if err is None or isinstance(err, SealiftError) or not isinstance(err, Exception):
            return
        if (own := own_error(err)) is not None:
            own.add_note(self._happened)
            # Its own cause, or the two would be each other's.
            raise own from own.__cause__
        raise outside(err, f"{self._happened}: {words(err)}") from err
