"""Verify and sign: a registry that cannot be read. That is not the same as unsigned."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest

from sealift.errors import OutsideError
from sealift.model.names import Repository
from sealift.model.statements import Statement, Subject, signature
from sealift.services.ports import free_ports
from sealift.stations.gate import GateRefusedError, NotCheckedError
from sealift.stations.sign import Signed, sign
from sealift.stations.verify import SIGNED_BY
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.proxy import Answer, before
from tests.attacks.signing import Shelf, wanting

pytestmark = pytest.mark.programs

BROKEN = (500, b"out of order")
# Clients ask once, and not again and again with longer and longer pauses.
DENIED = (403, b"not for you")
T = TypeVar("T")
Through = Callable[[Answer], tuple[Shelf, Subject]]


@pytest.fixture
def through(shelf: Shelf) -> Iterator[Through]:
    """Sign an image, and give the way to it through a registry that fails."""
    with contextlib.ExitStack() as stack:

        def look(answer: Answer) -> tuple[Shelf, Subject]:
            subject = shelf.image()
            host = stack.enter_context(before(shelf.host, answer))
            there = replace(subject, repository=Repository(f"{host}/{subject.repository.path}"))
            shelf.attach(subject, shelf.sign(signature(there)))
            return replace(shelf, host=host), there

        yield look


def listing(path: str) -> bool:
    """Tell whether it is asked what refers to an image, by the API or by the fallback tag."""
    return "/referrers/" in path or ("/manifests/sha256-" in path and not older(path))


def older(path: str) -> bool:
    """Tell whether cosign asks for a signature in the form before bundles."""
    return path.endswith((".sig", ".att"))


def not_checked(caught: pytest.ExceptionInfo[NotCheckedError]) -> list[str]:
    assert caught.value.exit_code == OutsideError.exit_code
    assert "not the same as unsigned" in str(caught.value)
    return [gate.detail for gate in caught.value.gates if gate.verdict == "not-checked"]


def test_verify_accepts_signature_through_proxy(through: Through) -> None:
    shelf, subject = through(lambda _: None)
    assert shelf.verify(wanting(subject)).covers(subject)


def unreadable(sample: str, artefact: T, words: str) -> Attack[T]:
    return Attack(
        kind=Kind.SERVICES, sample=sample, artefact=artefact, stage="verify", words=words, exit_code=4
    )


@each(unreadable("a registry whose list of referrers fails", BROKEN, "could not be read"))
def test_verify_does_not_pass_when_list_cannot_be_read(
    through: Through, attack: Attack[tuple[int, bytes]]
) -> None:
    shelf, subject = through(lambda path: attack.artefact if listing(path) else None)
    with pytest.raises(NotCheckedError) as caught:
        shelf.verify(wanting(subject))
    attack.assert_blocked_by(caught.value)
    (reason,) = not_checked(caught)
    assert "the referrers of" in reason
    assert "could not be read" in reason


# Whether the older form of signatures fails for cosign, too.
@each(
    unreadable("a registry whose list of referrers fails for cosign alone", False, "no signatures found"),
    unreadable("a registry whose signatures of both forms fail for cosign alone", True, "could not look at"),
)
def test_verify_does_not_pass_when_list_fails_for_cosign_alone(
    shelf: Shelf, through: Through, attack: Attack[bool]
) -> None:
    """cosign takes a list that fails for one that is empty, so its word for it is not taken."""
    lists = itertools.count()
    # Without the Referrers API the library's list is two questions.
    asked = 1 if shelf.host == shelf.stage.world.registry else 2

    def late(path: str) -> bool:
        return listing(path) and next(lists) >= asked

    def answer(path: str) -> tuple[int, bytes] | None:
        return DENIED if late(path) or (attack.artefact and older(path)) else None

    failing, subject = through(answer)
    with pytest.raises(NotCheckedError) as caught:
        failing.verify(wanting(subject))
    attack.assert_blocked_by(caught.value)
    (reason,) = not_checked(caught)
    assert "by cosign: " in reason
    assert attack.words in reason
    looked = [gate.verdict for gate in caught.value.gates if not gate.detail.startswith(SIGNED_BY)]
    assert looked == ["pass", "pass", "not-checked"]


@each(
    unreadable("a registry that denies manifests", "/manifests/", "not the same as unsigned"),
    unreadable("a registry that denies blobs", "/blobs/", "not the same as unsigned"),
)
def test_verify_does_not_pass_when_manifest_or_bundle_cannot_be_read(
    through: Through, attack: Attack[str]
) -> None:
    shelf, subject = through(lambda path: DENIED if attack.artefact in path else None)
    with pytest.raises(NotCheckedError) as caught:
        shelf.verify(wanting(subject))
    attack.assert_blocked_by(caught.value)
    assert not_checked(caught)


def closed_port() -> int:
    (port,) = free_ports(1).release()
    return port


@each(unreadable("a registry that does not answer", closed_port, "not the same as unsigned"))
def test_verify_does_not_pass_when_registry_is_unreachable(
    shelf: Shelf, attack: Attack[Callable[[], int]]
) -> None:
    host = f"localhost:{attack.artefact()}"
    gone = replace(shelf, host=host)
    subject = replace(shelf.image(), repository=Repository(f"{host}/small/gone"))
    with pytest.raises(NotCheckedError) as caught:
        gone.verify(wanting(subject))
    attack.assert_blocked_by(caught.value)
    assert not_checked(caught)


@each(
    Attack(
        kind=Kind.SERVICES,
        sample="an unsigned image beside one whose list cannot be read",
        artefact=DENIED,
        stage="verify",
        words="missing, accepted types: none",
    )
)
def test_verify_rejects_unsigned_image_beside_unreadable_one(
    shelf: Shelf, through: Through, attack: Attack[tuple[int, bytes]]
) -> None:
    broken: set[str] = set()
    failing, subject = through(
        lambda path: attack.artefact if listing(path) and any(name in path for name in broken) else None
    )
    broken.add(subject.digest.hex)
    # Put there past the proxy that fails, which takes no writes.
    unsigned = shelf.image()
    there = replace(unsigned, repository=Repository(f"{failing.host}/{unsigned.repository.path}"))
    with pytest.raises(GateRefusedError) as caught:
        failing.verify([*wanting(subject), *wanting(there)])
    attack.assert_blocked_by(caught.value)


class NoSigner:
    """A signer that must not be asked."""

    def sign_batch(self, statements: Sequence[Statement]) -> list[bytes]:
        raise AssertionError(f"asked to sign {len(statements)} statements again")


def sign_again(shelf: Shelf, subject: Subject) -> tuple[Signed, ...]:
    return sign(
        [signature(subject)], registry=shelf.registry, signer=NoSigner(), verifier=shelf.verifier, made=set()
    )


@each(
    Attack(
        kind=Kind.SERVICES,
        sample="a registry whose list of referrers fails while signing",
        artefact=DENIED,
        stage="sign",
        words="could not be read",
        exit_code=4,
    )
)
def test_sign_does_not_sign_again_when_list_cannot_be_read(
    through: Through, attack: Attack[tuple[int, bytes]]
) -> None:
    shelf, subject = through(lambda path: attack.artefact if listing(path) else None)
    with pytest.raises(OutsideError) as caught:
        sign_again(shelf, subject)
    attack.assert_blocked_by(caught.value)


def test_sign_does_not_sign_again_what_is_signed(through: Through) -> None:
    shelf, subject = through(lambda _: None)
    (signed,) = sign_again(shelf, subject)
    assert (signed.subject, signed.made) == (subject, False)
