"""Whose token it is, is known before anything is signed with it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import jwt
import pytest

from sealift.errors import OutsideError, RefusedError, UsageError
from sealift.model.names import Version
from sealift.rehearsal.issuer import github_claims
from sealift.tools import sigstore_token
from sealift.tools.sigstore_token import ambient_token, signatory, token_of
from tests.unit.tools.test_sigstore_client import CERTIFIED, CLAIMS, COMMIT, OURS


def test_without_an_identity_the_means_are_named() -> None:
    with pytest.raises(UsageError, match="no identity here to sign with") as caught:
        ambient_token({"ACTIONS_ID_TOKEN_REQUEST_URL": "http://localhost:1"})
    assert "id-token: write" in caught.value.means


def claims_of_a_run() -> dict[str, Any]:
    return {
        **github_claims("sealift/sealift", COMMIT, Version.parse("1.2.3")),
        "iss": OURS.issuer,
        "aud": "sigstore",
        "iat": int(time.time()) - 5,
        "exp": int(time.time()) + 600,
    }


def test_a_token_says_who_will_sign() -> None:
    told = claims_of_a_run()
    assert signatory(jwt.encode(told, "x" * 32)) == CERTIFIED
    del told["job_workflow_ref"]
    with pytest.raises(UsageError, match="has no claim 'job_workflow_ref'"):
        signatory(jwt.encode(told, "x" * 32))
    with pytest.raises(OutsideError, match="cannot be used"):
        signatory("not a token")


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_off_is_named(hours: int) -> None:
    told = claims_of_a_run()
    for name in ("iat", "nbf", "exp"):
        told[name] = int(time.time()) + 3600 * hours + (900 if name == "exp" else 0)
    with pytest.raises(OutsideError, match="is not of this time") as caught:
        signatory(jwt.encode(told, "x" * 32))
    assert "clock" in caught.value.means
    assert not caught.value.again


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ("sha", "commit: expected"),
        ("ref", "ref: expected"),
        ("workflow", "workflow's name: expected"),
        ("event_name", "trigger: expected"),
        ("repository", "repository: expected"),
        ("job_workflow_ref", "build signer: expected"),
        ("iss", "issuer: expected"),
        ("job_workflow_sha", "build signer's commit: expected"),
        ("runner_environment", "runner: expected github-hosted, got another"),
        ("repository_id", "repository id: expected"),
        ("repository_owner", "owner: expected"),
        ("repository_owner_id", "owner id: expected"),
        ("workflow_ref", "workflow: expected"),
        ("workflow_sha", "workflow's commit: expected"),
        ("run_id", "run: expected"),
        ("run_attempt", "run: expected"),
        ("repository_visibility", "visibility: expected public, got another"),
    ],
)
def test_a_token_of_somebody_else_signs_nothing(
    monkeypatch: pytest.MonkeyPatch, claim: str, words: str
) -> None:
    told = claims_of_a_run()
    monkeypatch.setattr(sigstore_token, "ambient_token", lambda _env: jwt.encode(told, "x" * 32))
    assert token_of(OURS, CLAIMS) == jwt.encode(told, "x" * 32)
    told[claim] = "another"
    with pytest.raises(RefusedError, match=words):
        token_of(OURS, CLAIMS)


def test_an_issuer_of_its_own_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    told = claims_of_a_run() | {"iss": f"{OURS.issuer}/acme"}
    monkeypatch.setattr(sigstore_token, "ambient_token", lambda _env: jwt.encode(told, "x" * 32))
    with pytest.raises(RefusedError, match=r"another issuer than ci/release\.yaml names") as caught:
        token_of(OURS, CLAIMS)
    assert f"issuer: {OURS.issuer}/acme into ci/release.yaml" in caught.value.next_step
    assert token_of(replace(OURS, issuer=f"{OURS.issuer}/acme"), CLAIMS)
    told["sha"] = "another"
    with pytest.raises(RefusedError, match="would sign as somebody else") as caught:
        token_of(OURS, CLAIMS)
    assert "ci/release.yaml" not in caught.value.next_step


def test_a_token_of_an_enterprises_own_github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sigstore_token, "ambient_token", lambda _env: jwt.encode(claims_of_a_run(), "x" * 32))
    there = replace(OURS, san=OURS.san.replace("github.com", "git.acme.test:8443"))
    assert token_of(there, CLAIMS)
    certified = signatory(token_of(there, CLAIMS), "https://git.acme.test:8443")
    assert certified["build signer"] == there.san
    assert certified["owner"] == "https://git.acme.test:8443/sealift"
