"""Verify, without a registry: what it says when a manifest is not there, or cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from sealift.errors import OutsideError, RefusedError, SealiftError
from sealift.model.names import Digest, Repository
from sealift.model.statements import PredicateType, Statement, Subject
from sealift.stations.verify import SIGNED_BY, Expected, look
from sealift.tools.cosign import Cosign
from sealift.tools.registry import Referrer
from sealift.tools.registry_bundle import BUNDLE_TYPE
from sealift.tools.registry_http import NotThereError
from tests.unit.stations.things import OURS, REPOSITORY, Glass, Shelves, bundle, digest_of, made

SUBJECT = Subject(repository=REPOSITORY, digest=digest_of("image"))
WANTED = [
    Expected(subject=SUBJECT, predicate_type=kind)
    for kind in (PredicateType.SIGNATURE, PredicateType.PROVENANCE)
]
NOBODY = Cosign(trusted_root=Path("/nonexistent"), identity=OURS, env={})


class Failing(Shelves):
    """A registry that answers every question about a manifest with one error."""

    error: OutsideError

    def manifest(self, _reference: str) -> bytes:
        raise self.error


def failing(error: OutsideError) -> Shelves:
    shelves = Failing()
    object.__setattr__(shelves, "error", error)
    return shelves


def looked(error: OutsideError) -> list[tuple[str, str]]:
    gates = look(WANTED, registry=failing(error), verifier=Glass(), cosign=NOBODY)
    return [(gate.verdict, gate.detail) for gate in gates]


def test_what_the_registry_does_not_hold_is_refused_by_name() -> None:
    lost = NotThereError(f"the manifest {SUBJECT} could not be read: it is not there", again=False)
    assert looked(lost) == [("refused", str(lost))]


def test_what_could_not_be_read_is_not_checked() -> None:
    broken = OutsideError("the registry answered 500")
    assert looked(broken) == [("not-checked", f"{e.predicate_type}: {broken}") for e in WANTED]


BOTH = [kind.value for kind in (PredicateType.SIGNATURE, PredicateType.PROVENANCE)]
ONLY_SIGNATURE = frozenset(BOTH[:1])
NO, BROKEN = RefusedError("no signatures found"), OutsideError("connection refused")


class Told(Cosign):
    """A cosign that says what it is told, one thing after another, and counts its starts."""

    def accepted(self, subject: Subject) -> frozenset[str]:
        assert subject == SUBJECT
        said = SAID.pop(0)
        if isinstance(said, SealiftError):
            raise said
        return said


SAID: list[frozenset[str] | SealiftError] = []
TOLD = Told(trusted_root=Path("/nonexistent"), identity=OURS, env={})


@dataclass(frozen=True, kw_only=True)
class Answering(Shelves):
    """A registry that holds what was attached, and that may not be able to list it later."""

    silent: bool = False

    def referrers(
        self, repository: Repository, digest: Digest, artifact_type: str = BUNDLE_TYPE
    ) -> tuple[Referrer, ...]:
        if self.silent:
            raise OutsideError(f"{repository.at(digest)} and its {artifact_type} cannot be listed")
        return ()


def by_cosign(*said: frozenset[str] | SealiftError, silent: bool = False) -> list[str]:
    """Verify what the library accepts, with a cosign that says these things; give cosign's verdicts."""
    shelves = Answering(silent=silent)
    for kind, predicate in ((PredicateType.SIGNATURE, {}), (PredicateType.PROVENANCE, made())):
        statement = Statement(subject=SUBJECT, predicate_type=kind, predicate=predicate)
        shelves.attach(SUBJECT.repository, SUBJECT.digest, bundle(statement), kind)
    SAID[:] = said
    gates = look(WANTED, registry=shelves, verifier=Glass(), cosign=TOLD)
    assert SAID == []
    gates = tuple(g for g in gates if not g.detail.startswith(SIGNED_BY))
    assert [g.detail for g in gates[1:3]] == [f"{k} by the sigstore library: accepted" for k in BOTH]
    return [f"{g.verdict}: {g.detail.partition(' by cosign: ')[2]}" for g in gates[3:]]


def test_one_start_of_cosign_tells_of_a_whole_subject() -> None:
    assert by_cosign(frozenset(BOTH)) == ["pass: accepted", "pass: accepted"]


def test_what_cosign_does_not_accept_twice_is_refused() -> None:
    missing = f"refused: missing, accepted types: {BOTH[0]}"
    assert by_cosign(ONLY_SIGNATURE, ONLY_SIGNATURE) == ["pass: accepted", missing]
    assert by_cosign(NO, NO) == ["refused: no signatures found"] * 2


def test_what_cosign_accepts_the_second_time_is_accepted() -> None:
    assert by_cosign(NO, frozenset(BOTH)) == ["pass: accepted", "pass: accepted"]
    assert by_cosign(ONLY_SIGNATURE, frozenset(BOTH)) == ["pass: accepted", "pass: accepted"]


def test_the_no_of_cosign_does_not_count_where_the_registry_is_silent() -> None:
    assert by_cosign(NO, silent=True) == ["not-checked: no signatures found"] * 2


def test_a_cosign_that_could_not_look_has_checked_nothing() -> None:
    assert by_cosign(BROKEN) == ["not-checked: connection refused"] * 2
    assert by_cosign(ONLY_SIGNATURE, BROKEN) == ["pass: accepted", "not-checked: connection refused"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"manifests":[],"Manifests":[{"digest":"x"}]}', "which some readers take for 'manifests'"),
        (b'{"manifests":[],"manifests":[{"digest":"x"}]}', "the member 'manifests' stands twice"),
        (b'{"manifests":' + b"[" * 100_000, "nested more than 16 deep"),
        (b'{"manifests":{"digest":"x"}}', "lists no manifests"),
        (b"[]", "is not an object but a list"),
        (b"", "not strict JSON"),
    ],
)
def test_an_index_with_two_meanings_is_refused(raw: bytes, words: str) -> None:
    held = Shelves(bodies={SUBJECT.digest: raw})
    gates = look(WANTED, registry=held, verifier=Glass(), cosign=NOBODY)
    assert any(gate.verdict == "refused" and words in gate.detail for gate in gates), gates
