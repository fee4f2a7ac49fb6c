"""Verify: real signatures with too few claims, of another subject, or of another identity.

Each artefact is held against both clients alone as well, so that neither leans on the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from sealift.errors import RefusedError
from sealift.model.names import Digest, Repository
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
from sealift.stations.verify import SIGNED_BY, Expected, expected
from tests.attacks.catalogue import Attack, Kind, each
from tests.attacks.signing import Shelf, wanting

pytestmark = pytest.mark.programs

T = TypeVar("T")
Spoil = Callable[[Shelf, Repository, Digest], None]
SIGNATURE, PROVENANCE = PredicateType.SIGNATURE, PredicateType.PROVENANCE


def claim(sample: str, artefact: T, words: str) -> Attack[T]:
    return Attack(kind=Kind.CLAIMS, sample=sample, artefact=artefact, stage="verify", words=words)


def blocked(attack: Attack[Any], shelf: Shelf, wanted: Sequence[Expected]) -> list[str]:
    """Verify what must not pass; return all that is wrong."""
    with pytest.raises(GateRefusedError) as caught:
        shelf.verify(wanted)
    attack.assert_blocked_by(caught.value)
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


def test_verify_accepts_complete_release(shelf: Shelf) -> None:
    index, (platform,) = shelf.index()
    shelf.say(*everything(shelf, index, platform))
    verified = shelf.verify(expected(index, [platform]))
    assert verified.subjects == (index, platform)
    details = [g.detail for g in verified.gates if not g.detail.startswith(SIGNED_BY)]
    by = [detail.partition(" by ")[2] for detail in details if " by " in detail]
    assert sorted(by) == ["cosign: accepted"] * 7 + ["the sigstore library: accepted"] * 7


@each(
    claim(
        "a release without one of its attestations",
        PredicateType.VULNERABILITIES,
        f"{PredicateType.VULNERABILITIES} by the sigstore library: missing, accepted",
    )
)
def test_verify_rejects_release_without_one_attestation(shelf: Shelf, attack: Attack[PredicateType]) -> None:
    index, (platform,) = shelf.index()
    said = everything(shelf, index, platform)
    shelf.say(*(s for s in said if s.predicate_type is not attack.artefact))
    (reason,) = blocked(attack, shelf, expected(index, [platform]))
    assert reason.startswith(attack.words)


@each(
    claim(
        "an unsigned image",
        Shelf.image,
        f"{SIGNATURE} by the sigstore library: missing, accepted types: none",
    )
)
def test_verify_rejects_unsigned_image(shelf: Shelf, attack: Attack[Callable[[Shelf], Subject]]) -> None:
    (wanted,) = wanting(attack.artefact(shelf))
    assert blocked(attack, shelf, [wanted]) == [attack.words]
    assert cosign_refuses(shelf, wanted)


Make = Callable[[Shelf, Subject], Expected]


def another_type(shelf: Shelf, subject: Subject) -> Expected:
    """Attach an attestation where the signature should be; cosign verify alone would accept it."""
    shelf.say(shelf.provenance(subject))
    return wanting(subject)[0]


def another_kind_of_attestation(shelf: Shelf, subject: Subject) -> Expected:
    shelf.say(signature(subject), Statement(subject=subject, predicate_type=PredicateType.SPDX, predicate={}))
    return wanting(subject, PredicateType.CYCLONEDX)[0]


def another_workflow(shelf: Shelf, subject: Subject) -> Expected:
    source = shelf.stage.plan.config.source
    return signed_by(job_workflow_ref=f"{source}/.github/workflows/ci.yml@refs/tags/v1.0.0")(shelf, subject)


def signed_by(**claims: str) -> Make:
    """Sign with a certificate whose claims differ."""

    def make(shelf: Shelf, subject: Subject) -> Expected:
        with shelf.claiming(**claims):
            shelf.say(signature(subject))
        return wanting(subject)[0]

    return make


def another_subject(shelf: Shelf, subject: Subject) -> Expected:
    """Attach the signature of one image to another."""
    shelf.attach(subject, shelf.sign(signature(shelf.image())))
    return wanting(subject)[0]


def another_payload(shelf: Shelf, subject: Subject) -> Expected:
    """Put another statement under the signature of one."""
    mine, stolen = (json.loads(b) for b in shelf.sign(signature(subject), signature(shelf.image())))
    stolen["dsseEnvelope"]["payload"] = mine["dsseEnvelope"]["payload"]
    shelf.attach(subject, [json.dumps(stolen).encode()])
    return wanting(subject)[0]


def no_bundle_at_all(shelf: Shelf, subject: Subject) -> Expected:
    shelf.attach(subject, [b"{}", b"not even JSON"])
    return wanting(subject)[0]


# The same repository's name in the certificate, and the same workflow file.
FORK = signed_by(repository="somebody/sealift")


@each(
    claim("a provenance instead of a signature", another_type, f"missing, accepted types: {PROVENANCE}"),
    claim(
        "an SPDX list instead of a CycloneDX list",
        another_kind_of_attestation,
        f"missing, accepted types: {SIGNATURE}, {PredicateType.SPDX}",
    ),
    claim("a signature by another workflow", another_workflow, "Certificate's SANs do not match"),
    claim("a signature by a fork's workflow of the same name", FORK, "GitHubWorkflowRepository"),
    claim("a signature at another commit", signed_by(sha="0" * 40), "GitHubWorkflowSHA"),
    claim("a signature at another ref", signed_by(ref="refs/heads/main"), "GitHubWorkflowRef"),
    claim("a signature by a workflow of another name", signed_by(workflow="ci"), "GitHubWorkflowName"),
    claim(
        "a signature by another trigger",
        signed_by(event_name="pull_request_target"),
        "GitHubWorkflowTrigger",
    ),
    claim("the signature of another image", another_subject, "subject: expected "),
    claim("another payload under a signature", another_payload, "the bundle is not accepted"),
    claim("bundles that are none", no_bundle_at_all, "the bundle is not accepted"),
)
def test_verify_rejects_wrong_signature_with_both_clients(shelf: Shelf, attack: Attack[Make]) -> None:
    wanted = attack.artefact(shelf, shelf.image())
    (reason,) = blocked(attack, shelf, [wanted])
    assert reason.startswith(f"{wanted.predicate_type} by the sigstore library: missing")
    assert attack.words in reason
    if attack.artefact is another_subject:
        assert f"subject: expected {wanted.subject.digest.hex}, got " in reason
    assert cosign_refuses(shelf, wanted)


@each(
    claim(
        "a signature of the right name by another issuer",
        Shelf.sign_by_email,
        "OIDCIssuer does not match",
    )
)
def test_verify_rejects_right_name_of_other_issuer_with_both_clients(
    shelf: Shelf, attack: Attack[Callable[[Shelf, Statement], list[bytes]]]
) -> None:
    subject, local = shelf.image(), shelf.stage.sigstore
    shelf.attach(subject, attack.artefact(shelf, signature(subject)))
    wanted = wanting(subject)
    right = Identity(san=local.email, issuer=local.email_issuer)
    shelf.verify(wanted, verifier=shelf.verifier_of(right), cosign=shelf.cosign_of(right))

    asked = replace(right, issuer=local.issuer)
    with pytest.raises(GateRefusedError) as caught:
        shelf.verify(wanted, verifier=shelf.verifier_of(asked), cosign=shelf.cosign_of(asked))
    attack.assert_blocked_by(caught.value)
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


# Which of the two clients expects the stranger, as if it could be fooled.
@each(
    claim("a stranger's signature that the sigstore library accepts", "library", f"{SIGNATURE} by cosign"),
    claim("a stranger's signature that cosign accepts", "cosign", f"{SIGNATURE} by the sigstore library"),
)
def test_verify_needs_both_clients(
    shelf: Shelf, strangers: tuple[Expected, Identity], attack: Attack[str]
) -> None:
    wanted, identity = strangers
    library, cosign = shelf.verifier_of(identity), shelf.cosign_of(identity)
    with pytest.raises(GateRefusedError) as caught:
        shelf.verify(
            [wanted],
            verifier=library if attack.artefact == "library" else None,
            cosign=cosign if attack.artefact == "cosign" else None,
        )
    attack.assert_blocked_by(caught.value)
    assert shelf.verify([wanted], verifier=library, cosign=cosign).covers(wanted.subject)


@each(
    claim(
        "a provenance with another builder",
        {"builder": "https://github.com/somebody/else"},
        "the provenance's builder: expected",
    ),
    claim("a provenance with another commit", {"commit": "0" * 40}, "the provenance's commit: expected"),
)
def test_verify_rejects_provenance_that_contradicts_certificate(
    shelf: Shelf, attack: Attack[dict[str, str]]
) -> None:
    subject = shelf.image()
    shelf.say(shelf.provenance(subject, **attack.artefact))
    (reason,) = blocked(attack, shelf, wanting(subject, PROVENANCE))
    assert attack.words in reason


@each(claim("an SBOM with another content", {"name": "this"}, "its content is not the expected one"))
def test_verify_rejects_predicate_with_other_content(shelf: Shelf, attack: Attack[dict[str, str]]) -> None:
    subject = shelf.image()
    said = Statement(subject=subject, predicate_type=PredicateType.SPDX, predicate=attack.artefact)
    shelf.say(said)
    (wanted,) = wanting(subject, PredicateType.SPDX)
    assert shelf.verify([replace(wanted, predicate=attack.artefact)]).covers(subject)
    (reason,) = blocked(attack, shelf, [replace(wanted, predicate={"name": "that"})])
    assert attack.words in reason


def test_verify_accepts_right_signature_beside_wrong_ones(shelf: Shelf) -> None:
    subject = shelf.image()
    shelf.attach(subject, [b"not even JSON", *shelf.sign_by_email(signature(subject))])
    shelf.say(signature(subject))
    assert shelf.verify(wanting(subject)).covers(subject)


@each(
    claim(
        "an index with a signed platform that the release does not name",
        2,
        "the index names manifests that nobody vouches for: sha256:",
    )
)
def test_verify_rejects_platform_that_was_not_expected(shelf: Shelf, attack: Attack[int]) -> None:
    index, (one, other) = shelf.index(attack.artefact)
    shelf.say(signature(index), signature(one), signature(other))
    (reason,) = blocked(attack, shelf, [*wanting(index), *wanting(one)])
    assert reason == f"the index names manifests that nobody vouches for: {other.digest}"


@each(claim("nothing to verify", (), "nothing was expected"))
def test_verify_rejects_empty_list_of_subjects(shelf: Shelf, attack: Attack[tuple[Expected, ...]]) -> None:
    assert blocked(attack, shelf, attack.artefact) == [attack.words]


@each(claim("a manifest that was changed in the registry", Shelf.spoil, "has other bytes than its name says"))
def test_verify_rejects_manifest_that_was_changed_in_registry(shelf: Shelf, attack: Attack[Spoil]) -> None:
    subject = shelf.image()
    shelf.say(signature(subject))
    attack.artefact(shelf, subject.repository, subject.digest)
    (reason,) = blocked(attack, shelf, wanting(subject))
    assert attack.words in reason


@each(claim("a bundle that was changed in the registry", Shelf.spoil, "has other bytes than its name says"))
def test_verify_rejects_bundle_that_was_changed_in_registry(shelf: Shelf, attack: Attack[Spoil]) -> None:
    subject = shelf.image()
    shelf.say(signature(subject))
    (carrier,) = shelf.registry.referrers(subject.repository, subject.digest)
    manifest = json.loads(shelf.registry.manifest(subject.repository.at(carrier.digest)))
    attack.artefact(shelf, subject.repository, Digest(manifest["layers"][0]["digest"]))
    (reason,) = blocked(attack, shelf, wanting(subject))
    assert "missing, accepted types: none" in reason
    assert attack.words in reason
