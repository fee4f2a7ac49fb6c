"""Running sign again is how it resumes: what is there and says the same is not made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sealift.errors import ManyErrors, OutsideError, RefusedError
from sealift.model.names import Digest
from sealift.model.statements import PredicateType, Statement, Subject, signature
from sealift.patience import may_help
from sealift.stations.sign import Signed, Signer, evidence, sign
from tests.unit.stations.things import REPOSITORY, Glass, Pen, Shelves, bundle, digest_of

ONE, TWO = (Subject(repository=REPOSITORY, digest=digest_of(n)) for n in ("one", "two"))


def spdx(subject: Subject, **said: object) -> Statement:
    return Statement(subject=subject, predicate_type=PredicateType.SPDX, predicate=dict(said))


WANTED = (signature(ONE), signature(TWO), spdx(ONE, name="app"))


def run(
    wanted: Sequence[Statement], shelves: Shelves, pen: Signer, made: set[Digest] | None = None
) -> tuple[Signed, ...]:
    made = set() if made is None else made
    return sign(wanted, registry=shelves, signer=pen, verifier=Glass(), made=made)


def test_everything_is_signed_at_once_and_attached_to_its_subject() -> None:
    shelves, pen = Shelves(), Pen()
    signed = run(WANTED, shelves, pen)
    assert pen.batches == [list(WANTED)], "one batch is one certificate"
    assert [(s.subject, s.predicate_type, s.made) for s in signed] == [
        (w.subject, w.predicate_type, True) for w in WANTED
    ]
    assert sorted(shelves.kinds) == sorted(w.predicate_type for w in WANTED)
    assert {d: len(b) for d, b in shelves.attached.items()} == {str(ONE): 2, str(TWO): 1}


def test_again_nothing_is_made() -> None:
    shelves, pen = Shelves(), Pen()
    first = run(WANTED, shelves, pen)
    second = run(WANTED, shelves, pen)
    assert len(pen.batches) == 1
    assert [s.made for s in second] == [False] * 3
    assert [s.digest for s in second] == [s.digest for s in first]


def test_only_what_is_missing_is_made() -> None:
    shelves, pen = Shelves(), Pen()
    run(WANTED[:1], shelves, Pen())
    signed = run(WANTED, shelves, pen)
    assert pen.batches == [list(WANTED[1:])]
    assert [s.made for s in signed] == [False, True, True]


RUN = "https://github.com/sealift/sealift/actions/runs"


def test_a_second_attempt_goes_on_where_the_first_ended() -> None:
    shelves, pen = Shelves(), Pen(claims={"run": f"{RUN}/1/attempts/2"})
    run(WANTED[:1], shelves, Pen())
    assert [s.made for s in run(WANTED, shelves, pen)] == [False, True, True]


def test_another_run_signs_everything_again() -> None:
    shelves, pen = Shelves(), Pen(claims={"run": f"{RUN}/2/attempts/1"})
    run(WANTED[:2], shelves, Pen())
    signed = run(WANTED, shelves, pen)
    assert [s.made for s in signed] == [True] * 3
    assert {dict(s.run)["run"] for s in signed} == {f"{RUN}/2"}
    assert evidence(signed).claims["run"] == f"{RUN}/2"
    assert [s.made for s in run(WANTED, shelves, pen)] == [False] * 3


def test_of_two_runs_the_whole_one_counts() -> None:
    shelves = Shelves()
    run(WANTED, shelves, Pen())
    shelves.attached[str(ONE)].insert(0, bundle(signature(ONE), run=f"{RUN}/9/attempts/1"))
    signed = run(WANTED, shelves, Pen())
    assert [s.made for s in signed] == [False] * 3
    assert {dict(s.run)["run"] for s in signed} == {f"{RUN}/1"}


@pytest.mark.parametrize(
    "there",
    [
        bundle(signature(ONE), by="somebody"),
        bundle(signature(TWO)),
        bundle(spdx(ONE, name="another app")),
        bundle(replace(spdx(ONE, name="app"), predicate_type=PredicateType.CYCLONEDX)),
    ],
    ids=["another identity", "another subject", "another content", "another type"],
)
def test_what_only_looks_alike_is_made_beside_it(there: bytes) -> None:
    shelves, pen = Shelves(attached={str(ONE): [there]}), Pen()
    wanted = [signature(ONE), spdx(ONE, name="app")]
    assert [s.made for s in run(wanted, shelves, pen)] == [True, True]
    assert shelves.attached[str(ONE)][0] == there


def test_what_differs_in_time_alone_is_not_made_again() -> None:
    there = bundle(spdx(ONE, name="app", creationInfo={"created": "then"}, documentNamespace="x"))
    shelves, pen = Shelves(attached={str(ONE): [there]}), Pen()
    (signed,) = run([spdx(ONE, name="app", creationInfo={"created": "now"})], shelves, pen)
    assert (signed.made, pen.batches) == (False, [])


def test_what_a_verifier_would_not_accept_is_not_published() -> None:
    shelves = Shelves()
    with pytest.raises(RefusedError, match="by somebody"):
        run(WANTED, shelves, Pen(by="somebody"))
    assert shelves.attached == {}


def test_a_signer_that_says_too_little_is_a_defect() -> None:
    class Short:
        def sign_batch(self, _: Sequence[Statement]) -> list[bytes]:
            return []

    with pytest.raises(ValueError, match="shorter"):
        run(WANTED, Shelves(), Short())


def test_what_is_attached_and_not_listed_is_found_by_the_next_try() -> None:
    """Another writer undid ours, or the registry is late: the next try finds it or makes it again."""
    shelves, pen = Shelves(), Pen()
    made: set[Digest] = set()
    shelves.late[0] = 4  # both subjects before, and both after
    with pytest.raises(OutsideError, match="is not listed there") as caught:
        run(WANTED, shelves, pen, made)
    assert caught.value.again
    signed = run(WANTED, shelves, pen, made)
    assert len(pen.batches) == 1
    assert [s.made for s in signed] == [True] * 3, "made by this run, though by its first try"


def test_a_refusal_of_the_registry_is_one() -> None:
    class Refusing(Shelves):
        def attach(self, *_: object) -> Digest:
            raise RefusedError("no right to write")

    with pytest.raises((RefusedError, ManyErrors), match="no right to write") as caught:
        run(WANTED, Refusing(), Pen())
    assert not may_help(caught.value)


def test_evidence_says_what_was_made() -> None:
    shelves = Shelves()
    run(WANTED[:1], shelves, Pen())
    entries = evidence(run(WANTED[:2], shelves, Pen())).entries
    assert [(e.subject, e.made) for e in entries] == [(str(ONE), False), (str(TWO), True)]
    assert {e.predicate_type for e in entries} == {PredicateType.SIGNATURE}
