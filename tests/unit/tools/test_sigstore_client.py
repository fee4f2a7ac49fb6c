"""Bundles that a rehearsal's Sigstore made, verified without any network.

They carry timestamps, so they verify for ever. ``sigstore/who.json`` says whose they are.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealift import process
from sealift.errors import InterruptedReleaseError, OutsideError, RefusedError, UsageError
from sealift.model.names import Digest, Repository
from sealift.model.statements import Claims, Identity, PredicateType, Subject, signature
from sealift.tools import sigstore_client
from sealift.tools.attested import Attested
from sealift.tools.sigstore_client import BundleVerifier, SigstoreSigner

FOLDER = Path(__file__).parent / "sigstore"
ROOT = FOLDER / "trusted_root.json"
WHO = json.loads((FOLDER / "who.json").read_text(encoding="utf-8"))
OURS = Identity(san=WHO["san"], issuer=WHO["issuer"])
MAKERS = Identity(san=WHO["email"], issuer=WHO["email_issuer"])
COMMIT = "c" * 40
CLAIMS = Claims(
    repository="sealift/sealift",
    commit=COMMIT,
    ref="refs/tags/v1.2.3",
    workflow="release",
    trigger="push",
    workflow_file=".github/workflows/release.yml",
    repository_id="304973943",
    owner_id="2964909105",
    run_id="1",
    visibility="public",
)
IMAGE = Digest("sha256:" + hashlib.sha256(b"an image").hexdigest())
OTHER = Digest("sha256:" + hashlib.sha256(b"another image").hexdigest())
SUBJECT = Subject(repository=Repository("localhost:5000/health-caretaker"), digest=IMAGE)
CERTIFIED = {
    "issuer": OURS.issuer,
    "build signer": OURS.san,
    "build signer's commit": COMMIT,
    "runner": "github-hosted",
    "repository": "https://github.com/sealift/sealift",
    "commit": COMMIT,
    "ref": "refs/tags/v1.2.3",
    "repository id": "304973943",
    "owner": "https://github.com/sealift",
    "owner id": "2964909105",
    "workflow": OURS.san,
    "workflow's commit": COMMIT,
    "trigger": "push",
    "run": "https://github.com/sealift/sealift/actions/runs/1/attempts/1",
    "visibility": "public",
    "token subject": "repo:sealift/sealift:ref:refs/tags/v1.2.3",
}
SIGNED = Attested(predicate_type=PredicateType.SIGNATURE, predicate={}, certified=CERTIFIED)


def bundle(name: str) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes()


def verifier(identity: Identity = OURS, claims: Claims = CLAIMS) -> BundleVerifier:
    return BundleVerifier(trusted_root=ROOT, identity=identity, claims=claims)


@pytest.mark.parametrize("name", ["signature", "rekor2"])
def test_a_signature_from_either_log_is_accepted(name: str) -> None:
    assert verifier().read(bundle(name), SUBJECT) == SIGNED


def test_a_provenance_is_given_back() -> None:
    said = verifier().read(bundle("provenance"), SUBJECT)
    assert said.predicate_type == PredicateType.PROVENANCE
    assert said.predicate["runDetails"]["builder"]["id"] == OURS.san


def test_the_same_bytes_are_checked_once_for_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    one, check, checked = verifier(), BundleVerifier._check, []

    def noted(self: BundleVerifier, raw: bytes, at: Subject, manifest: bytes | None) -> Attested:
        checked.append(at.digest)
        return check(self, raw, at, manifest)

    monkeypatch.setattr(BundleVerifier, "_check", noted)
    for _ in range(2):
        assert one.read(bundle("signature"), SUBJECT) == SIGNED
        with pytest.raises(RefusedError):
            one.read(bundle("signature"), replace(SUBJECT, digest=OTHER))
        with pytest.raises(RefusedError):
            one.read(bundle("email"), SUBJECT)
    # Only what was accepted is remembered.
    assert checked == [IMAGE, OTHER, IMAGE, OTHER, IMAGE]


def test_a_mail_address_is_an_identity_too() -> None:
    assert verifier(MAKERS, Claims()).read(bundle("email"), SUBJECT).predicate == {}
    with pytest.raises(RefusedError):
        verifier(MAKERS).read(bundle("email"), SUBJECT)


def test_another_subject_is_refused() -> None:
    with pytest.raises(RefusedError, match=f"subject: expected {OTHER.hex}, got {IMAGE.hex}"):
        verifier().read(bundle("signature"), replace(SUBJECT, digest=OTHER))


WRONG_CLAIMS: dict[str, Any] = {
    "repository": "somebody/else",
    "commit": "d" * 40,
    "ref": "refs/heads/main",
    "workflow": "ci",
    "trigger": "pull_request",
    "workflow_file": ".github/workflows/ci.yml",
    "repository_id": "7",
    "owner_id": "8",
    "run_id": "9",
    "visibility": "private",
}


@pytest.mark.parametrize("claim", WRONG_CLAIMS)
def test_each_claim_is_asked(claim: str) -> None:
    wrong = replace(CLAIMS, **{claim: WRONG_CLAIMS[claim]})
    with pytest.raises(RefusedError, match=WRONG_CLAIMS[claim]):
        verifier(claims=wrong).read(bundle("signature"), SUBJECT)


@pytest.mark.parametrize(
    "identity", [replace(OURS, san=OURS.san + "x"), replace(OURS, issuer=MAKERS.issuer), MAKERS]
)
def test_another_identity_or_issuer_is_refused(identity: Identity) -> None:
    with pytest.raises(RefusedError, match=r"(does|do) not match"):
        verifier(identity, Claims()).read(bundle("signature"), SUBJECT)


def test_an_instance_that_nobody_trusts_is_refused(tmp_path: Path) -> None:
    for part in ("tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"):
        root = json.loads(ROOT.read_text(encoding="utf-8")) | {part: []}
        path = tmp_path / f"{part}.json"
        path.write_text(json.dumps(root), encoding="utf-8")
        with pytest.raises((RefusedError, UsageError)):
            BundleVerifier(trusted_root=path, identity=OURS).read(bundle("signature"), SUBJECT)


def test_a_part_of_another_bundle_is_refused() -> None:
    for part in ("payload", "signatures"):
        mixed = json.loads(bundle("signature"))
        mixed["dsseEnvelope"][part] = json.loads(bundle("provenance"))["dsseEnvelope"][part]
        with pytest.raises(RefusedError):
            verifier().read(json.dumps(mixed).encode(), SUBJECT)


STRICT = verifier()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_changed_bytes_say_the_same_or_are_refused(data: st.DataObject) -> None:
    """Whatever breaks on a stranger's bytes is a refusal and never a crash."""
    raw = bytearray(bundle(data.draw(st.sampled_from(["signature", "rekor2"]))))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    try:
        said = STRICT.read(bytes(raw), SUBJECT)
    except RefusedError:
        return
    assert said == SIGNED


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b"null", b"\xff", b'{"mediaType": 1}'])
def test_what_is_no_bundle_is_refused(raw: bytes) -> None:
    with pytest.raises(RefusedError, match="the bundle is not accepted"):
        STRICT.read(raw, SUBJECT)


@pytest.mark.parametrize("text", ["", "{}", "no JSON"])
def test_a_trusted_root_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "root.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="is not a Sigstore trusted root"):
        BundleVerifier(trusted_root=path, identity=OURS)
    with pytest.raises(UsageError, match="trust configuration"):
        SigstoreSigner(trust_config=path, token=str).sign_batch([signature(SUBJECT)])


def test_nothing_to_sign_asks_nobody() -> None:
    assert SigstoreSigner(trust_config=None, token=fail).sign_batch([]) == []


def fail() -> str:
    raise AssertionError("asked for a token")


@dataclass
class Wavering:
    """A library's signer that answers what it is told to, one answer after another."""

    answers: list[Callable[[], Any]]

    def sign_dsse(self, _: object) -> Any:
        return self.answers.pop(0)()


def made(*, stamped: bool) -> Any:
    material = SimpleNamespace(timestamp_verification_data=b"stamp" if stamped else None)
    return SimpleNamespace(verification_material=material, to_json=lambda: "{}")


def broken() -> Any:
    raise OSError("the log is not there")


def enter(*answers: Callable[[], Any], stamped: bool = True) -> bytes:
    signer: Any = Wavering(list(answers))
    return sigstore_client._entry(signer, signature(SUBJECT), stamped=stamped)


def test_what_fails_outside_is_told_and_left_to_the_line() -> None:
    assert enter(lambda: made(stamped=True)) == b"{}"
    assert enter(lambda: made(stamped=False), stamped=False) == b"{}"
    with pytest.raises(OutsideError, match="the log is not there") as caught:
        enter(broken)
    assert caught.value.again
    with pytest.raises(OutsideError, match=r"gave .* no timestamp") as caught:
        enter(lambda: made(stamped=False))
    assert caught.value.again


def test_a_release_that_ends_logs_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = threading.Event()
    ending.set()
    monkeypatch.setattr(process, "_ending", ending)
    with pytest.raises(InterruptedReleaseError):
        enter(fail)
