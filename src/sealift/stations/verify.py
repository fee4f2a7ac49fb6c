"""Verify: look at everything again as a stranger would, from the registry and the trust root alone.

Two clients that share nothing must agree: the sigstore library and cosign. Only this module can make a
``Verified``, and promotion takes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, final

from sealift.errors import DefectError, OutsideError, RefusedError
from sealift.model.claims import Run, described, disagreement, fullest, run_of
from sealift.model.evidence import Gate, SignedAll, VerifiedAll
from sealift.model.names import Digest
from sealift.model.statements import (
    JSON,
    ON_INDEX,
    ON_PLATFORM,
    PredicateType,
    Statement,
    Subject,
    predicate_digest,
)
from sealift.oci import documents
from sealift.stations.gate import GateRefusedError, Looks, NotCheckedError
from sealift.stations.provenance import Known, provenance_problems
from sealift.stations.together import together
from sealift.tools.attested import Attested
from sealift.tools.cosign import Cosign
from sealift.tools.registry import Registry
from sealift.tools.registry_http import NotThereError
from sealift.tools.sigstore_client import BundleVerifier

STATION = "verify"
_MADE_HERE = object()
# How the line begins that shows whose signatures were accepted.
SIGNED_BY = "signed by "


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What must be attached to a subject: with this ``predicate``, but for times; with this hash of it.

    ``known`` is compared with a provenance; ``problems`` says what else is wrong with what a bundle says.
    """

    subject: Subject
    predicate_type: PredicateType
    predicate: JSON | None = None
    hash: Digest | None = None
    known: Known | None = None
    problems: Callable[[Attested], Iterable[str]] | None = None


@dataclass
class _Looked:
    """What was looked at of one subject, and which runs signed each thing that was accepted there."""

    looks: Looks
    runs: list[tuple[PredicateType, set[Run]]] = field(default_factory=list)


@final
class Verified:
    """Proof that every expected statement was accepted, in this process, just now."""

    __slots__ = ("_gates", "_subjects")

    def __init__(
        self, *, subjects: tuple[Subject, ...], gates: tuple[Gate, ...], made_by: object = None
    ) -> None:
        if made_by is not _MADE_HERE:
            raise DefectError("only verify makes a Verified")
        object.__setattr__(self, "_subjects", subjects)
        object.__setattr__(self, "_gates", gates)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise DefectError("a Verified does not change")

    def __reduce__(self) -> NoReturn:
        raise DefectError("a Verified is not written to a file, nor read from one")

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """The manifests that were looked at."""
        return self._subjects  # type: ignore[attr-defined,no-any-return]

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Everything that was looked at."""
        return self._gates  # type: ignore[attr-defined,no-any-return]

    def covers(self, subject: Subject) -> bool:
        """Tell whether this manifest was verified."""
        return subject in self.subjects

    def evidence(self) -> VerifiedAll:
        """Write down what was accepted; reading it back gives a claim, never a Verified."""
        return VerifiedAll(gates=self.gates, subjects=tuple(str(s) for s in self.subjects))


def expected(index: Subject, platforms: Sequence[Subject]) -> tuple[Expected, ...]:
    """List what must be attached to an image: signature and provenance everywhere, lists on platforms."""
    return (
        *(Expected(subject=index, predicate_type=kind) for kind in ON_INDEX),
        *(Expected(subject=s, predicate_type=kind) for s in platforms for kind in ON_PLATFORM),
    )


def signed_as(
    statements: Sequence[Statement], recorded: SignedAll
) -> tuple[tuple[Expected, ...], Mapping[str, str]]:
    """List what the run folder and sign's evidence say that was signed, and the claims of all signatures."""
    hashes = {(e.subject, e.predicate_type): e.predicate for e in recorded.entries}
    wanted = tuple(
        Expected(
            subject=s.subject,
            predicate_type=s.predicate_type,
            predicate=s.predicate,
            hash=hashes.get((str(s.subject), s.predicate_type)),
        )
        for s in statements
    )
    if unsigned := [f"{e.predicate_type} of {e.subject}" for e in wanted if e.hash is None]:
        raise RefusedError(
            f"sign's evidence does not name {', '.join(unsigned)}",
            means="the run folder is of another release than the signatures",
            next_step="sealift sign",
        )
    return wanted, recorded.claims


def verify(
    wanted: Sequence[Expected],
    *,
    registry: Registry,
    verifier: BundleVerifier,
    cosign: Cosign,
    claims: Mapping[str, str] | None = None,
) -> Verified:
    """Accept a release, or refuse it with everything that is wrong.

    ``claims`` are those that every certificate must carry, where they are known; else all must agree.
    Raises GateRefusedError when something is missing or wrong, and NotCheckedError when nothing is but
    not all could be read.
    """
    looked = _look(wanted, registry=registry, verifier=verifier, cosign=cosign, claims=claims)
    gates = tuple(gate for looks in looked for gate in looks.gates)
    verdicts = {g.verdict for g in gates}
    if "refused" in verdicts or not gates:
        raise GateRefusedError(
            gates or (Gate(station=STATION, subject="-", verdict="refused", detail="nothing was expected"),),
            means="a stranger would not accept this release",
            next_step="sealift sign",
        )
    if verdicts != {"pass"}:
        raise NotCheckedError(
            gates,
            [cause for looks in looked for cause in looks.causes],
            means="this is not the same as unsigned: the registry or the trust root could not be read",
            next_step="run again when it answers: sealift verify",
        )
    subjects = tuple(dict.fromkeys(e.subject for e in wanted))
    return Verified(subjects=subjects, gates=gates, made_by=_MADE_HERE)


def look(
    wanted: Sequence[Expected], *, registry: Registry, verifier: BundleVerifier, cosign: Cosign
) -> tuple[Gate, ...]:
    """Look at every expected statement, and say of each what was found."""
    looked = _look(wanted, registry=registry, verifier=verifier, cosign=cosign)
    return tuple(gate for looks in looked for gate in looks.gates)


def _look(
    wanted: Sequence[Expected],
    *,
    registry: Registry,
    verifier: BundleVerifier,
    cosign: Cosign,
    claims: Mapping[str, str] | None = None,
) -> list[Looks]:
    subjects = tuple(dict.fromkeys(e.subject for e in wanted))

    def one(subject: Subject) -> _Looked:
        looked = _Looked(Looks(STATION, str(subject)))
        looks, mine = looked.looks, [e for e in wanted if e.subject == subject]
        try:
            manifest = _look_children(looks, subject, subjects, registry)
            read = _read(subject, manifest, registry, verifier)
        except NotThereError as err:
            # The registry was read, and said no.
            looks.refused(str(err))
        except OutsideError as err:
            for e in mine:
                looks.not_checked(f"{e.predicate_type}: {err}", err)
        except RefusedError as err:
            looks.refused(str(err))
        else:
            found = [e for e in mine if _look_library(looked, e, read, verifier)]
            _look_cosign(looks, found, registry, cosign)
        return looked

    looked = together(one, subjects)
    _look_runs(looked, None if claims is None else tuple(sorted(claims.items())))
    return [one.looks for one in looked]


def _look_children(
    looks: Looks, subject: Subject, subjects: Sequence[Subject], registry: Registry
) -> bytes | None:
    """Hash the manifest again; what an index names must be expected too, or it would ship unsigned."""
    try:
        manifest = registry.manifest(str(subject))
        listed = documents.children(manifest, f"the manifest {subject.digest}")
    except RefusedError as err:
        looks.refused(str(err))
        return None
    children = {str(child.get("digest")) for child in listed}
    if strangers := children - {s.digest for s in subjects if s.repository == subject.repository}:
        looks.refused(f"the index names manifests that nobody vouches for: {', '.join(sorted(strangers))}")
    else:
        looks.passed(f"the registry holds {subject.digest}")
    return manifest


def _read(
    subject: Subject, manifest: bytes | None, registry: Registry, verifier: BundleVerifier
) -> tuple[Attested | RefusedError, ...]:
    def one(bundle: bytes | RefusedError) -> Attested | RefusedError:
        if isinstance(bundle, RefusedError):
            return bundle
        try:
            return verifier.read(bundle, subject, manifest)
        except RefusedError as err:
            return err

    return tuple(one(b) for _, b in registry.bundles(subject.repository, subject.digest))


def _look_library(
    looked: _Looked, wanted: Expected, read: Sequence[Attested | RefusedError], verifier: BundleVerifier
) -> bool:
    """Look with the sigstore library; a good bundle counts even when a stranger's lies beside it."""
    what = f"{wanted.predicate_type} by the sigstore library"
    accepted = [r for r in read if isinstance(r, Attested)]
    problems = [str(r) for r in read if isinstance(r, RefusedError)]
    runs = set()
    for said in (r for r in accepted if r.predicate_type == wanted.predicate_type):
        try:
            wrong = list(_wrong(wanted, said, verifier))
        except (NotThereError, RefusedError) as err:
            wrong = [str(err)]
        except OutsideError as err:
            looked.looks.not_checked(f"{what}: {err}", err)
            return False
        problems += wrong
        if not wrong:
            runs.add(run_of(said.certified))
    if runs:
        looked.looks.passed(f"{what}: accepted")
        looked.runs.append((wanted.predicate_type, runs))
        return True
    types = ", ".join(sorted({said.predicate_type for said in accepted})) or "none"
    looked.looks.refused("; ".join([f"{what}: missing, accepted types: {types}", *problems]))
    return False


def _wrong(wanted: Expected, said: Attested, verifier: BundleVerifier) -> Iterator[str]:
    """Say what is wrong with the content of a statement that the right one has signed."""
    expected = {} if wanted.predicate_type is PredicateType.SIGNATURE else wanted.predicate
    if expected is not None:
        asked = Statement(subject=wanted.subject, predicate_type=wanted.predicate_type, predicate=expected)
        if not asked.says_the_same(said.predicate):
            yield "its content is not the expected one"
    if wanted.hash is not None and (got := predicate_digest(said.predicate)) != wanted.hash:
        yield f"its content: expected what sign recorded, {wanted.hash}, got {got}"
    if wanted.predicate_type is PredicateType.PROVENANCE:
        yield from provenance_problems(
            said.predicate, builder=verifier.identity.san, certified=said.certified, known=wanted.known
        )
    if wanted.problems is not None:
        yield from wanted.problems(said)


def _look_runs(looked: Sequence[_Looked], known: Run | None) -> None:
    """Look whether one run has signed everything that was accepted."""
    run = known or fullest(runs for one in looked for _, runs in one.runs)
    if run is None:
        return
    for one in looked:
        for kind, runs in one.runs:
            if run not in runs:
                differs = "; ".join(disagreement(run, max(runs)))
                one.looks.refused(f"{kind} by the sigstore library: not of the release's run: {differs}")
    if who := described(run):
        looked[0].looks.passed(f"{SIGNED_BY}{who}")


def _look_cosign(looks: Looks, wanted: Sequence[Expected], registry: Registry, cosign: Cosign) -> None:
    """Look with cosign, which must come to the same result; one start of it tells of a whole subject.

    cosign takes a registry that fails for one without signatures. So its no counts where the registry
    answers, and when it says it twice: the registry may have failed it the first time.
    """
    refusal, tries = "", 2
    while wanted and tries:
        subject, tries = wanted[0].subject, tries - 1
        try:
            accepted = cosign.accepted(subject)
            refusal = f"missing, accepted types: {', '.join(sorted(accepted)) or 'none'}"
        except OutsideError as err:
            _not_checked(looks, wanted, err, err)
            return
        except RefusedError as err:
            accepted, refusal = frozenset(), str(err)
        for e in wanted:
            if e.predicate_type in accepted:
                looks.passed(f"{e.predicate_type} by cosign: accepted")
        wanted = [e for e in wanted if e.predicate_type not in accepted]
        if wanted and (silence := _silence(subject, registry)) is not None:
            _not_checked(looks, wanted, refusal, silence)
            return
    for e in wanted:
        looks.refused(f"{e.predicate_type} by cosign: {refusal}")


def _not_checked(looks: Looks, wanted: Sequence[Expected], why: object, cause: OutsideError) -> None:
    for e in wanted:
        looks.not_checked(f"{e.predicate_type} by cosign: {why}", cause)


def _silence(subject: Subject, registry: Registry) -> OutsideError | None:
    """Return why the registry does not answer when asked what refers to a subject, or None when it does."""
    try:
        registry.referrers(subject.repository, subject.digest)
    except OutsideError as err:
        return err
    return None
