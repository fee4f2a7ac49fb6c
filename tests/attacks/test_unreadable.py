"""A registry that cannot be read: nothing was checked, and that is not the same as unsigned."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from sealift.errors import OutsideError
from sealift.model.names import Repository
from sealift.model.statements import Statement, Subject, signature
from sealift.services.ports import free_ports
from sealift.stations.gate import GateRefusedError, NotCheckedError
from sealift.stations.sign import sign
from tests.attacks.proxy import Answer, before
from tests.attacks.signing import Shelf, wanting

pytestmark = pytest.mark.programs

BROKEN = (500, b"out of order")
# Clients ask once, and not again and again with longer and longer pauses.
DENIED = (403, b"not for you")
Through = Callable[[Answer], tuple[Shelf, Subject]]


@pytest.fixture
def through(shelf: Shelf) -> Iterator[Through]:
    """Sign an image, and give the way to it through a registry that fails."""
    with contextlib.ExitStack() as stack:

        def look(answer: Answer) -> tuple[Shelf, Subject]:
            subject = shelf.image()
            shelf.say(signature(subject))
            host = stack.enter_context(before(shelf.host, answer))
            there = Repository(f"{host}/{subject.repository.path}")
            return replace(shelf, host=host), replace(subject, repository=there)

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


def test_one_that_only_stands_between_changes_nothing(through: Through) -> None:
    shelf, subject = through(lambda _: None)
    assert shelf.verify(wanting(subject)).covers(subject)


def test_a_list_that_cannot_be_read_is_not_checked(through: Through) -> None:
    shelf, subject = through(lambda path: BROKEN if listing(path) else None)
    with pytest.raises(NotCheckedError) as caught:
        shelf.verify(wanting(subject))
    (reason,) = not_checked(caught)
    assert "the referrers of" in reason
    assert "could not be read" in reason


@pytest.mark.parametrize(
    ("older_too", "words"), [(False, "no signatures found"), (True, "could not look at")]
)
def test_what_fails_only_for_cosign_is_not_checked_either(
    shelf: Shelf, through: Through, older_too: bool, words: str
) -> None:
    """cosign takes a list that fails for one that is empty, so its word for it is not taken."""
    lists = itertools.count()
    # Without the Referrers API the library's list is two questions.
    asked = 1 if shelf.host == shelf.stage.world.registry else 2

    def late(path: str) -> bool:
        return listing(path) and next(lists) >= asked

    failing, subject = through(lambda path: DENIED if late(path) or (older_too and older(path)) else None)
    with pytest.raises(NotCheckedError) as caught:
        failing.verify(wanting(subject))
    (reason,) = not_checked(caught)
    assert "by cosign: " in reason
    assert words in reason
    assert [gate.verdict for gate in caught.value.gates] == ["pass", "pass", "not-checked"]


@pytest.mark.parametrize("part", ["/manifests/", "/blobs/"])
def test_a_manifest_or_a_bundle_that_cannot_be_read_is_not_checked(through: Through, part: str) -> None:
    shelf, subject = through(lambda path: DENIED if part in path else None)
    with pytest.raises(NotCheckedError) as caught:
        shelf.verify(wanting(subject))
    assert not_checked(caught)


def test_nobody_there_is_not_checked(shelf: Shelf) -> None:
    (port,) = free_ports(1).release()
    gone = replace(shelf, host=f"localhost:{port}")
    subject = replace(shelf.image(), repository=Repository(f"localhost:{port}/small/gone"))
    with pytest.raises(NotCheckedError) as caught:
        gone.verify(wanting(subject))
    assert not_checked(caught)


def test_a_refusal_outranks_what_was_not_checked(shelf: Shelf, through: Through) -> None:
    broken: set[str] = set()
    failing, subject = through(
        lambda path: DENIED if listing(path) and any(name in path for name in broken) else None
    )
    broken.add(subject.digest.hex)
    # Put there past the one that fails, which takes no writes.
    unsigned = shelf.image()
    there = replace(unsigned, repository=Repository(f"{failing.host}/{unsigned.repository.path}"))
    with pytest.raises(GateRefusedError, match="missing, accepted types: none"):
        failing.verify([*wanting(subject), *wanting(there)])


class Nobody:
    """A signer that must not be asked."""

    def sign_batch(self, statements: Sequence[Statement]) -> list[bytes]:
        raise AssertionError(f"asked to sign {len(statements)} statements again")


def test_what_cannot_be_read_is_not_signed_again(through: Through) -> None:
    shelf, subject = through(lambda path: DENIED if listing(path) else None)
    with pytest.raises(OutsideError, match="could not be read"):
        sign(
            [signature(subject)],
            registry=shelf.registry,
            signer=Nobody(),
            verifier=shelf.verifier,
            made=set(),
        )


def test_what_is_signed_is_not_signed_again(through: Through) -> None:
    shelf, subject = through(lambda _: None)
    (signed,) = sign(
        [signature(subject)], registry=shelf.registry, signer=Nobody(), verifier=shelf.verifier, made=set()
    )
    assert (signed.subject, signed.made) == (subject, False)
