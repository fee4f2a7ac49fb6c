"""Base: nobody answers for what an image would stand on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from sealift.line import Line
from sealift.model.evidence import Evidence
from sealift.model.exceptions import Exception_
from sealift.model.names import Repository
from sealift.model.statements import Identity, PredicateType, Statement, Subject, signature
from sealift.model.world import Base
from sealift.services.ports import free_ports
from sealift.stations import base as station
from sealift.stations.gate import GateRefusedError, NotCheckedError
from tests.attacks.signing import Shelf

pytestmark = pytest.mark.programs

SUITE = "debian12"
SUPPORTED: Mapping[str, date] = {}
LOST: Mapping[str, date] = {SUITE: date(2020, 1, 1)}


@pytest.fixture(autouse=True)
def support(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the suite be supported, whatever day it is."""
    monkeypatch.setattr(station, "SUPPORT_ENDS", SUPPORTED)


@pytest.fixture
def small(shelf: Shelf) -> Base:
    """Give a base that nobody has signed."""
    subject, _ = shelf.index()
    local = shelf.stage.sigstore
    return Base(
        trusted_root=None,
        name="example.test/base",
        digest=subject.digest,
        layout=shelf.folder / subject.repository.rpartition("/")[2],
        source=subject.repository,
        signer=Identity(san=local.email, issuer=local.email_issuer),
    )


def look(shelf: Shelf, base: Base, *exceptions: Exception_) -> Evidence:
    plan = shelf.stage.plan
    cosign = shelf.cosign_of(base.signer)
    return station.base("static", plan, base, exceptions, cosign=cosign, registry=shelf.registry)


def refusal(shelf: Shelf, base: Base, *exceptions: Exception_) -> str:
    with pytest.raises(GateRefusedError) as caught:
        look(shelf, base, *exceptions)
    (reason,) = [gate.detail for gate in caught.value.gates if gate.verdict != "pass"]
    assert [gate.verdict for gate in caught.value.gates if gate.verdict != "pass"] == ["refused"]
    return reason


def sign(shelf: Shelf, base: Base, *, as_makers: bool = True) -> None:
    subject = Subject(repository=base.source, digest=base.digest)
    statement = signature(subject)
    shelf.attach(subject, shelf.sign_by_email(statement) if as_makers else shelf.sign(statement))


def test_one_that_its_makers_signed_passes(shelf: Shelf, small: Base) -> None:
    sign(shelf, small)
    assert [gate.verdict for gate in look(shelf, small).gates] == ["pass"] * 3


def test_one_that_nobody_signed_is_refused(shelf: Shelf, small: Base) -> None:
    assert "cosign verify refused" in refusal(shelf, small)


def test_one_that_somebody_else_signed_is_refused(shelf: Shelf, small: Base) -> None:
    """Even the release itself is somebody else."""
    sign(shelf, small, as_makers=False)
    assert "cosign verify refused" in refusal(shelf, small)


def test_an_attestation_is_no_signature(shelf: Shelf, small: Base) -> None:
    subject = Subject(repository=small.source, digest=small.digest)
    said = Statement(subject=subject, predicate_type=PredicateType.SPDX, predicate={})
    shelf.attach(subject, shelf.sign_by_email(said), PredicateType.SPDX)
    assert "is not signed" in refusal(shelf, small)


def test_a_registry_that_does_not_answer_is_not_checked(shelf: Shelf, small: Base) -> None:
    (port,) = free_ports(1).release()
    gone = replace(small, source=Repository(f"localhost:{port}/small/gone"))
    with pytest.raises(NotCheckedError, match="base could not look at everything") as caught:
        look(shelf, gone)
    assert caught.value.again


def test_what_is_wrong_outranks_what_was_not_checked(line: Line, shelf: Shelf, small: Base) -> None:
    (port,) = free_ports(1).release()
    gone = replace(small, source=Repository(f"localhost:{port}/small/gone"))
    with pytest.raises(GateRefusedError, match="index in the layout"):
        look(shelf, replace(gone, layout=line.world.bases["static"].layout))


def test_a_layout_with_another_index_is_refused(line: Line, shelf: Shelf, small: Base) -> None:
    sign(shelf, small)
    other = replace(small, layout=line.world.bases["static"].layout)
    assert refusal(shelf, other).startswith(f"index in the layout: expected {small.digest}, got sha256:")


def excuse(until: date, suite: str = SUITE) -> Exception_:
    return Exception_(kind="base", id=suite, owner="somebody", reason="made up", until=until)


def test_a_suite_that_lost_its_support_needs_an_exception_that_holds(
    shelf: Shelf, small: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station, "SUPPORT_ENDS", LOST)
    sign(shelf, small)
    today = datetime.now(UTC).date()
    assert refusal(shelf, small) == "debian12 lost its support on 2020-01-01"
    assert refusal(shelf, small, excuse(today, "debian13")) == "debian12 lost its support on 2020-01-01"
    ended = today - timedelta(days=1)
    assert refusal(shelf, small, excuse(ended)).endswith(f"the exception of somebody ended on {ended}")
    assert look(shelf, small, excuse(today + timedelta(days=1))).gates[-1].verdict == "excused"
