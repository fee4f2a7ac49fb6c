"""Verify, without a registry: what it says when a manifest is not there, or cannot be read."""

from __future__ import annotations

from pathlib import Path

from sealift.errors import OutsideError
from sealift.model.statements import PredicateType, Subject
from sealift.stations.verify import Expected, look
from sealift.tools.cosign import Cosign
from sealift.tools.registry_http import NotThereError
from tests.unit.stations.things import OURS, REPOSITORY, Glass, Shelves, digest_of

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
