"""Verify: real signatures that say too little, say it of something else, or come from somebody else.

Each artefact is held against both clients alone as well, so that neither leans on the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from sealift.errors import RefusedError
from sealift.model.names import Digest
from sealift.model.statements import (
    ON_INDEX,
    ON_PLATFORM,
    Identity,
    PredicateType,
    Statement,
    Subject,
    signature,
)
from sealift.stations.gate import GateRefusedError
from sealift.stations.verify import Expected, expected
from tests.attacks.signing import Shelf, wanting

pytestmark = pytest.mark.programs

SIGNATURE, PROVENANCE = PredicateType.SIGNATURE, PredicateType.PROVENANCE


def refusals(shelf: Shelf, wanted: Sequence[Expected]) -> list[str]:
    with pytest.raises(GateRefusedError) as caught:
        shelf.verify(wanted)
    assert {gate.verdict for gate in caught.value.gates} <= {"pass", "refused"}
    return [gate.detail for gate in caught.value.gates if gate.verdict == "refused"]


def cosign_refuses(shelf: Shelf, wanted: Expected) -> bool:
    """Ask cosign alone."""
    try:
        if wanted.predicate_type is SIGNATURE:
            shelf.cosign.verify(wanted.subject)
        else:
            shelf.cosign.verify_attestation(wanted.subject, wanted.predicate_type)
    except RefusedError:
        return True
    return False


def everything(shelf: Shelf, index: Subject, platform: Subject) -> list[Statement]:
    """Say all that a release says of an index and of its one platform."""
    lists = [
        Statement(subject=platform, predicate_type=kind, predicate={"made": "up"})
        for kind in ON_PLATFORM
        if kind not in ON_INDEX
    ]
    signed = [s for subject in (index, platform) for s in (signature(subject), shelf.provenance(subject))]
    return [*signed, *lists]


def test_all_that_a_release_says_is_accepted(shelf: Shelf) -> None:
    index, (platform,) = shelf.index()
    shelf.say(*everything(shelf, index, platform))
    verified = shelf.verify(expected(index, [platform]))
    assert verified.subjects == (index, platform)
    by = [g.detail.partition(" by ")[2] for g in verified.gates if " by " in g.detail]
    assert sorted(by) == ["cosign: accepted"] * 7 + ["the sigstore library: accepted"] * 7


def test_one_attestation_less_is_refused(shelf: Shelf) -> None:
    index, (platform,) = shelf.index()
    shelf.say(*everything(shelf, index, platform)[:-1])
    (reason,) = refusals(shelf, expected(index, [platform]))
    assert reason.startswith(f"{PredicateType.VULNERABILITIES} by the sigstore library: missing, accepted")


def test_what_nobody_signed_is_refused(shelf: Shelf) -> None:
    (wanted,) = wanting(shelf.image())
    assert refusals(shelf, [wanted]) == [
        f"{SIGNATURE} by the sigstore library: missing, accepted types: none"
    ]
    assert cosign_refuses(shelf, wanted)


@dataclass(frozen=True)
class Wrong:
    """Something attached to an image, what was expected there, and the library's words for it."""

    wanted: Expected
    words: str


def another_type(shelf: Shelf, subject: Subject) -> Wrong:
    """Attach an attestation where the signature should be; cosign verify alone would accept it."""
    shelf.say(shelf.provenance(subject))
    return Wrong(wanting(subject)[0], f"missing, accepted types: {PROVENANCE}")


def another_kind_of_attestation(shelf: Shelf, subject: Subject) -> Wrong:
    shelf.say(signature(subject), Statement(subject=subject, predicate_type=PredicateType.SPDX, predicate={}))
    return Wrong(
        wanting(subject, PredicateType.CYCLONEDX)[0],
        f"missing, accepted types: {SIGNATURE}, {PredicateType.SPDX}",
    )


def another_workflow(shelf: Shelf, subject: Subject) -> Wrong:
    source = shelf.stage.plan.config.source
    with shelf.claiming(job_workflow_ref=f"{source}/.github/workflows/ci.yml@refs/tags/v1.0.0"):
        shelf.say(signature(subject))
    return Wrong(wanting(subject)[0], "Certificate's SANs do not match")


def another_repository(shelf: Shelf, subject: Subject) -> Wrong:
    """A fork's certificate that names the same workflow file."""
    with shelf.claiming(repository="somebody/sealift"):
        shelf.say(signature(subject))
    return Wrong(wanting(subject)[0], "GitHubWorkflowRepository")


def another_commit(shelf: Shelf, subject: Subject) -> Wrong:
    with shelf.claiming(sha="0" * 40):
        shelf.say(signature(subject))
    return Wrong(wanting(subject)[0], "GitHubWorkflowSHA")


def another_ref(shelf: Shelf, subject: Subject) -> Wrong:
    with shelf.claiming(ref="refs/heads/main"):
        shelf.say(signature(subject))
    return Wrong(wanting(subject)[0], "GitHubWorkflowRef")


def another_name(shelf: Shelf, subject: Subject) -> Wrong:
    with shelf.claiming(workflow="ci"):
        shelf.say(signature(subject))
    return Wrong(wanting(subject)[0], "GitHubWorkflowName")


def another_trigger(shelf: Shelf, subject: Subject) -> Wrong:
    with shelf.claiming(event_name="pull_request_target"):
        shelf.say(signature(subject))
    return Wrong(wanting(subject)[0], "GitHubWorkflowTrigger")


def another_subject(shelf: Shelf, subject: Subject) -> Wrong:
    """Attach the signature of one image to another."""
    other = shelf.image()
    shelf.attach(subject, shelf.sign(signature(other)))
    return Wrong(wanting(subject)[0], f"subject: expected {subject.digest.hex}, got {other.digest.hex}")


def another_payload(shelf: Shelf, subject: Subject) -> Wrong:
    """Put another statement under the signature of one."""
    mine, stolen = (json.loads(b) for b in shelf.sign(signature(subject), signature(shelf.image())))
    stolen["dsseEnvelope"]["payload"] = mine["dsseEnvelope"]["payload"]
    shelf.attach(subject, [json.dumps(stolen).encode()])
    return Wrong(wanting(subject)[0], "the bundle is not accepted")


def no_bundle_at_all(shelf: Shelf, subject: Subject) -> Wrong:
    shelf.attach(subject, [b"{}", b"not even JSON"])
    return Wrong(wanting(subject)[0], "the bundle is not accepted")


WRONGS: list[Callable[[Shelf, Subject], Wrong]] = [
    another_type,
    another_kind_of_attestation,
    another_workflow,
    another_repository,
    another_commit,
    another_ref,
    another_name,
    another_trigger,
    another_subject,
    another_payload,
    no_bundle_at_all,
]


@pytest.mark.parametrize("make", WRONGS, ids=lambda make: make.__name__)
def test_what_is_wrong_is_refused_by_both(shelf: Shelf, make: Callable[[Shelf, Subject], Wrong]) -> None:
    wrong = make(shelf, shelf.image())
    (reason,) = refusals(shelf, [wrong.wanted])
    assert reason.startswith(f"{wrong.wanted.predicate_type} by the sigstore library: missing")
    assert wrong.words in reason
    assert cosign_refuses(shelf, wrong.wanted)


def test_the_right_name_from_another_issuer_is_refused_by_both(shelf: Shelf) -> None:
    subject, local = shelf.image(), shelf.stage.sigstore
    shelf.attach(subject, shelf.sign_by_email(signature(subject)))
    wanted = wanting(subject)
    right = Identity(san=local.email, issuer=local.email_issuer)
    shelf.verify(wanted, verifier=shelf.verifier_of(right), cosign=shelf.cosign_of(right))

    asked = replace(right, issuer=local.issuer)
    with pytest.raises(GateRefusedError, match="OIDCIssuer does not match"):
        shelf.verify(wanted, verifier=shelf.verifier_of(asked), cosign=shelf.cosign_of(asked))
    with pytest.raises(RefusedError):
        shelf.cosign_of(asked).verify(subject)


@pytest.fixture
def strangers(shelf: Shelf) -> Iterator[tuple[Expected, Identity]]:
    """Give an image that another workflow signed, and that workflow's identity."""
    subject = shelf.image()
    source = shelf.stage.plan.config.source
    with shelf.claiming(job_workflow_ref=f"{source}/.github/workflows/ci.yml@refs/tags/v1.0.0") as identity:
        shelf.say(signature(subject))
        yield wanting(subject)[0], identity


def test_both_clients_must_accept(shelf: Shelf, strangers: tuple[Expected, Identity]) -> None:
    """Each client in turn expects the stranger, as if it could be fooled."""
    wanted, identity = strangers
    with pytest.raises(GateRefusedError, match=f"{SIGNATURE} by cosign"):
        shelf.verify([wanted], verifier=shelf.verifier_of(identity))
    with pytest.raises(GateRefusedError, match=f"{SIGNATURE} by the sigstore library"):
        shelf.verify([wanted], cosign=shelf.cosign_of(identity))
    both = shelf.verify([wanted], verifier=shelf.verifier_of(identity), cosign=shelf.cosign_of(identity))
    assert both.covers(wanted.subject)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"builder": "https://github.com/somebody/else"}, "the provenance's builder: expected"),
        ({"commit": "0" * 40}, "the provenance's commit: expected"),
    ],
)
def test_a_provenance_that_contradicts_its_certificate_is_refused(
    shelf: Shelf, changed: dict[str, str], words: str
) -> None:
    subject = shelf.image()
    shelf.say(shelf.provenance(subject, **changed))
    (reason,) = refusals(shelf, wanting(subject, PROVENANCE))
    assert words in reason


def test_another_content_than_the_expected_one_is_refused(shelf: Shelf) -> None:
    subject = shelf.image()
    shelf.say(Statement(subject=subject, predicate_type=PredicateType.SPDX, predicate={"name": "this"}))
    (wanted,) = wanting(subject, PredicateType.SPDX)
    assert shelf.verify([replace(wanted, predicate={"name": "this"})]).covers(subject)
    (reason,) = refusals(shelf, [replace(wanted, predicate={"name": "that"})])
    assert "its content is not the expected one" in reason


def test_a_strangers_lies_beside_a_good_signature_do_no_harm(shelf: Shelf) -> None:
    subject = shelf.image()
    shelf.attach(subject, [b"not even JSON", *shelf.sign_by_email(signature(subject))])
    shelf.say(signature(subject))
    assert shelf.verify(wanting(subject)).covers(subject)


def test_a_platform_that_nobody_vouches_for_is_refused(shelf: Shelf) -> None:
    index, (one, other) = shelf.index(2)
    shelf.say(signature(index), signature(one), signature(other))
    (reason,) = refusals(shelf, [*wanting(index), *wanting(one)])
    assert reason == f"the index names manifests that nobody vouches for: {other.digest}"


def test_nothing_expected_is_nothing_verified(shelf: Shelf) -> None:
    assert refusals(shelf, []) == ["nothing was expected"]


def test_a_manifest_that_was_changed_where_it_is_kept_is_refused(shelf: Shelf) -> None:
    subject = shelf.image()
    shelf.say(signature(subject))
    shelf.spoil(subject.repository, subject.digest)
    (reason,) = refusals(shelf, wanting(subject))
    assert "has other bytes than its name says" in reason


def test_a_bundle_that_was_changed_where_it_is_kept_is_refused(shelf: Shelf) -> None:
    subject = shelf.image()
    shelf.say(signature(subject))
    (carrier,) = shelf.registry.referrers(subject.repository, subject.digest)
    manifest = json.loads(shelf.registry.manifest(subject.repository.at(carrier.digest)))
    shelf.spoil(subject.repository, Digest(manifest["layers"][0]["digest"]))
    (reason,) = refusals(shelf, wanting(subject))
    assert "missing, accepted types: none" in reason
    assert "has other bytes than its name says" in reason
