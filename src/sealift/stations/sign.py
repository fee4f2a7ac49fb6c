"""Sign: one certificate for everything that is not signed yet, attached to digests.

The outside is asked first. What is there with the right subject, type, identity and content is not made
again, so running this station again is how it resumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sealift.errors import OutsideError, RefusedError
from sealift.model.claims import Run, fullest, run_of
from sealift.model.evidence import SignedAll, SignedEntry
from sealift.model.names import Digest
from sealift.model.statements import PredicateType, Statement, Subject, predicate_digest
from sealift.stations.together import together
from sealift.tools.attested import Attested
from sealift.tools.registry import Registry
from sealift.tools.sigstore_client import BundleVerifier


class Signer(Protocol):
    """Whoever makes bundles: the sigstore library in one batch, or cosign with a key or a KMS."""

    def sign_batch(self, statements: Sequence[Statement]) -> list[bytes]:
        """Return one bundle for each statement, in their order."""
        ...


@dataclass(frozen=True, kw_only=True)
class Signed:
    """One statement in the registry, by the manifest that carries it; ``made`` by this run or found."""

    subject: Subject
    predicate_type: PredicateType
    digest: Digest
    predicate: Digest
    run: Run
    made: bool


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a valid bundle in the registry says, and the manifest that carries it."""

    digest: Digest
    said: Attested


def sign(
    wanted: Sequence[Statement],
    *,
    registry: Registry,
    signer: Signer,
    verifier: BundleVerifier,
    made: set[Digest],
) -> tuple[Signed, ...]:
    """Have every statement signed and attached to its subject.

    All are signatures of one workflow run: where an earlier one signed in part, all is signed again. ``made``
    collects the manifests that carry what was made; a retry passes the same set again.
    """
    there = _look(tuple(dict.fromkeys(s.subject for s in wanted)), registry, verifier)
    run = _fullest(wanted, there)
    missing = [s for s in wanted if _find(s, there, run) is None]
    if missing:
        ours = _attach(missing, signer.sign_batch(missing), registry, verifier, made)
        if others := [s for s in wanted if s not in missing and _find(s, there, ours) is None]:
            _attach(others, signer.sign_batch(others), registry, verifier, made)
        run, changed = ours, dict.fromkeys(s.subject for s in (*missing, *others))
        # The fallback tag is read, changed and written: another writer may have undone ours.
        there |= _look(tuple(changed), registry, verifier)
    signed = []
    for statement in wanted:
        if (found := _find(statement, there, run)) is None:
            raise OutsideError(
                f"{statement.predicate_type} was attached to {statement.subject} and is not listed there",
                means="another writer was at work, or the registry shows its writes late",
                next_step="run again",
            )
        signed.append(
            Signed(
                subject=statement.subject,
                predicate_type=statement.predicate_type,
                digest=found.digest,
                predicate=predicate_digest(found.said.predicate),
                run=run_of(found.said.certified),
                made=found.digest in made,
            )
        )
    return tuple(signed)


def complete(wanted: Sequence[Statement], registry: Registry, verifier: BundleVerifier) -> bool:
    """Tell whether every statement is signed already, by one run; nothing is made."""
    there = _look(tuple(dict.fromkeys(s.subject for s in wanted)), registry, verifier)
    run = _fullest(wanted, there)
    return all(_find(statement, there, run) is not None for statement in wanted)


def evidence(signed: Sequence[Signed]) -> SignedAll:
    """Write down what is signed, for the jobs that come after."""
    return SignedAll(
        entries=tuple(
            SignedEntry(
                subject=str(s.subject), predicate_type=s.predicate_type, predicate=s.predicate, made=s.made
            )
            for s in signed
        ),
        claims=dict(signed[0].run) if signed else {},
    )


def _look(
    subjects: Sequence[Subject], registry: Registry, verifier: BundleVerifier
) -> dict[Subject, tuple[Found, ...]]:
    """Hash again what the registry holds, and read every valid bundle attached to it."""

    def one(subject: Subject) -> tuple[Found, ...]:
        return tuple(_valid(subject, registry.manifest(str(subject)), registry, verifier))

    return dict(zip(subjects, together(one, subjects), strict=True))


def _valid(subject: Subject, manifest: bytes, registry: Registry, verifier: BundleVerifier) -> list[Found]:
    """Return the bundles on a subject that the verifier accepts; others are somebody else's matter."""
    valid = []
    for digest, bundle in registry.bundles(subject.repository, subject.digest):
        if isinstance(bundle, bytes):
            try:
                said = verifier.read(bundle, subject, manifest)
            except RefusedError:
                continue
            valid.append(Found(digest=digest, said=said))
    return valid


def _says(statement: Statement, said: Attested) -> bool:
    return said.predicate_type == statement.predicate_type and statement.says_the_same(said.predicate)


def _find(statement: Statement, there: dict[Subject, tuple[Found, ...]], run: Run | None) -> Found | None:
    """Find a statement that one run has signed."""
    for found in there[statement.subject]:
        if run_of(found.said.certified) == run and _says(statement, found.said):
            return found
    return None


def _fullest(wanted: Sequence[Statement], there: dict[Subject, tuple[Found, ...]]) -> Run | None:
    """Choose the run that signed most of what is wanted."""
    return fullest(
        [run_of(f.said.certified) for f in there[statement.subject] if _says(statement, f.said)]
        for statement in wanted
    )


def _attach(
    statements: Sequence[Statement],
    bundles: Sequence[bytes],
    registry: Registry,
    verifier: BundleVerifier,
    made: set[Digest],
) -> Run | None:
    """Attach the bundles: one after another on a subject, subjects in parallel. Return whose they are."""
    queues: dict[Subject, list[tuple[Statement, bytes]]] = {}
    run = None
    for statement, bundle in zip(statements, bundles, strict=True):
        run = run_of(_accepted(statement, bundle, verifier).certified)
        queues.setdefault(statement.subject, []).append((statement, bundle))

    def one(subject: Subject) -> None:
        for statement, bundle in queues[subject]:
            made.add(registry.attach(subject.repository, subject.digest, bundle, statement.predicate_type))

    together(one, tuple(queues))
    return run


def _accepted(statement: Statement, bundle: bytes, verifier: BundleVerifier) -> Attested:
    """Publish nothing that a verifier would not accept."""
    try:
        said = verifier.read(bundle, statement.subject)
    except RefusedError as err:
        raise RefusedError(
            f"what was just signed of {statement.subject} would not be accepted: {err.happened}",
            means="the log or the authority gave other bytes than it should, or the trust root is another's; "
            "nothing of this was attached",
            next_step="run again; if it stays so, look at the log's own status page",
        ) from err
    if not _says(statement, said):
        raise RefusedError(
            f"what was just signed of {statement.subject} says something else than was to be signed",
            means="the signer has changed it; nothing of this was attached",
            next_step="look which signer this job starts",
        )
    return said
