"""Base: images that their maker did not sign, or no longer supports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from sealift.model.evidence import Evidence
from sealift.model.exceptions import Exception_
from sealift.model.names import Repository
from sealift.model.statements import Identity, PredicateType, Statement, Subject, signature
from sealift.model.world import Base
from sealift.services.ports import free_ports
from sealift.stations import base as station
from sealift.stations.gate import GateRefusedError, NotCheckedError
from tests.attacks.catalogue import Attack, Kind, attacks, each
from tests.attacks.signing import Shelf

pytestmark = pytest.mark.programs

Prepare = Callable[[Shelf, Base], Base]
SUITE = "debian12"
SUPPORTED: Mapping[str, date] = {}
LOST: Mapping[str, date] = {SUITE: date(2020, 1, 1)}


@pytest.fixture(autouse=True)
def support(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the suite be supported, whatever day it is."""
    monkeypatch.setattr(station, "SUPPORT_ENDS", SUPPORTED)


@pytest.fixture
def small(shelf: Shelf) -> Base:
    """Give a base that is not signed."""
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


def blocked(attack: Attack[Any], shelf: Shelf, base: Base, *exceptions: Exception_) -> str:
    """Give a base to the stage, which must block it for one reason; return the reason."""
    with pytest.raises(GateRefusedError) as caught:
        look(shelf, base, *exceptions)
    attack.assert_blocked_by(caught.value)
    ((verdict, reason),) = [(g.verdict, g.detail) for g in caught.value.gates if g.verdict != "pass"]
    assert verdict == "refused"
    return reason


def unsigned(_: Shelf, base: Base) -> Base:
    return base


def signed(shelf: Shelf, base: Base) -> Base:
    subject = Subject(repository=base.source, digest=base.digest)
    shelf.attach(subject, shelf.sign_by_email(signature(subject)))
    return base


def signed_by_release(shelf: Shelf, base: Base) -> Base:
    subject = Subject(repository=base.source, digest=base.digest)
    shelf.attach(subject, shelf.sign(signature(subject)))
    return base


def attested(shelf: Shelf, base: Base) -> Base:
    """Attach an attestation of the right identity, and no signature."""
    subject = Subject(repository=base.source, digest=base.digest)
    said = Statement(subject=subject, predicate_type=PredicateType.SPDX, predicate={})
    shelf.attach(subject, shelf.sign_by_email(said), PredicateType.SPDX)
    return base


def with_other_layout(shelf: Shelf, base: Base) -> Base:
    return replace(signed(shelf, base), layout=shelf.stage.world.bases["static"].layout)


def unreachable(_: Shelf, base: Base) -> Base:
    (port,) = free_ports(1).release()
    return replace(base, source=Repository(f"localhost:{port}/small/gone"))


def unreachable_with_other_layout(shelf: Shelf, base: Base) -> Base:
    return replace(unreachable(shelf, base), layout=shelf.stage.world.bases["static"].layout)


def test_base_accepts_image_that_its_maker_signed(shelf: Shelf, small: Base) -> None:
    assert [gate.verdict for gate in look(shelf, signed(shelf, small)).gates] == ["pass"] * 4


@each(
    *attacks(
        Kind.BASES,
        "base",
        {
            "an unsigned base": (unsigned, "cosign verify refused"),
            "a base that only the release itself signed": (signed_by_release, "cosign verify refused"),
            "a base with an attestation instead of a signature": (attested, "is not signed"),
        },
    )
)
def test_base_rejects_image_that_its_maker_did_not_sign(
    shelf: Shelf, small: Base, attack: Attack[Prepare]
) -> None:
    assert attack.words in blocked(attack, shelf, attack.artefact(shelf, small))


@each(
    Attack(
        kind=Kind.BASES,
        sample="a signed base with the layout of another one",
        artefact=with_other_layout,
        stage="base",
        words="index in the layout: expected sha256:",
    )
)
def test_base_rejects_layout_of_other_index(shelf: Shelf, small: Base, attack: Attack[Prepare]) -> None:
    reason = blocked(attack, shelf, attack.artefact(shelf, small))
    assert reason.startswith(f"index in the layout: expected {small.digest}, got sha256:")


@each(
    Attack(
        kind=Kind.BASES,
        sample="a base in a registry that does not answer",
        artefact=unreachable,
        stage="base",
        words="base could not look at everything",
        exit_code=4,
    )
)
def test_base_does_not_pass_while_registry_is_unreachable(
    shelf: Shelf, small: Base, attack: Attack[Prepare]
) -> None:
    with pytest.raises(NotCheckedError) as caught:
        look(shelf, attack.artefact(shelf, small))
    attack.assert_blocked_by(caught.value)
    assert caught.value.again


@each(
    Attack(
        kind=Kind.BASES,
        sample="a base with the layout of another one, in a registry that does not answer",
        artefact=unreachable_with_other_layout,
        stage="base",
        words="index in the layout",
    )
)
def test_base_rejects_wrong_layout_while_registry_is_unreachable(
    shelf: Shelf, small: Base, attack: Attack[Prepare]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(shelf, attack.artefact(shelf, small))
    attack.assert_blocked_by(caught.value)


def waiver(until: date, suite: str = SUITE) -> Exception_:
    return Exception_(kind="base", id=suite, owner="somebody", reason="made up", until=until)


def tomorrow() -> date:
    return datetime.now(UTC).date() + timedelta(days=1)


def yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


UNSUPPORTED = "debian12 lost its support on 2020-01-01"


@each(
    *attacks(
        Kind.BASES,
        "base",
        {
            "a base whose support has ended": (tuple, UNSUPPORTED),
            "a base whose support has ended, with a waiver for another suite": (
                lambda: (waiver(tomorrow(), "debian13"),),
                UNSUPPORTED,
            ),
            "a base whose support has ended, with a waiver that has ended, too": (
                lambda: (waiver(yesterday()),),
                "the waiver of somebody ended on ",
            ),
        },
    )
)
def test_base_rejects_suite_without_support(
    shelf: Shelf,
    small: Base,
    monkeypatch: pytest.MonkeyPatch,
    attack: Attack[Callable[[], tuple[Exception_, ...]]],
) -> None:
    monkeypatch.setattr(station, "SUPPORT_ENDS", LOST)
    reason = blocked(attack, shelf, signed(shelf, small), *attack.artefact())
    assert reason.startswith(UNSUPPORTED)
    assert f"{UNSUPPORTED}; it needs a waiver" in reason or reason.endswith(f"{attack.words}{yesterday()}")


def test_base_accepts_suite_without_support_while_waiver_holds(
    shelf: Shelf, small: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(station, "SUPPORT_ENDS", LOST)
    assert look(shelf, signed(shelf, small), waiver(tomorrow())).gates[-1].verdict == "excused"
