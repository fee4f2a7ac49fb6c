"""As whom a job would sign is known before anything is built."""

from __future__ import annotations

import jwt
import pytest

from sealift.commands import identity
from sealift.errors import RefusedError, UsageError
from sealift.model.plan import Plan
from sealift.tools import sigstore_token
from tests.conftest import ROOT
from tests.unit.stations.things import plan
from tests.unit.tools.test_sigstore_token import claims_of_a_run

ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "sealift/sealift"}


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Plan:
    made = plan()
    monkeypatch.setattr(identity, "checkout", lambda: ROOT)
    monkeypatch.setattr(identity, "planned", lambda *_: made)
    for name, value in ACTIONS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GITHUB_SERVER_URL", raising=False)
    return made


def token(monkeypatch: pytest.MonkeyPatch, planned: Plan, **claims: str) -> None:
    ref = f"refs/tags/{planned.version.git_tag}"
    told = claims_of_a_run() | {
        "iss": "https://token.actions.githubusercontent.com",
        "sha": planned.commit,
        "ref": ref,
        "job_workflow_ref": f"sealift/sealift/.github/workflows/release.yml@{ref}",
    }
    monkeypatch.setattr(sigstore_token, "ambient_token", lambda _env: jwt.encode(told | claims, "x" * 32))


def test_the_right_token_is_told(
    monkeypatch: pytest.MonkeyPatch, planned: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    token(monkeypatch, planned)
    identity.command(production=True)
    assert capsys.readouterr().out.strip() == (
        "1.2.3 would be signed by https://github.com/sealift/sealift/.github/workflows/release.yml"
        "@refs/tags/v1.2.3 (https://token.actions.githubusercontent.com)"
    )


def test_an_issuer_of_its_own_is_met_before_the_build(monkeypatch: pytest.MonkeyPatch, planned: Plan) -> None:
    token(monkeypatch, planned, iss="https://token.actions.githubusercontent.com/acme")
    with pytest.raises(RefusedError) as refused:
        identity.command(production=True)
    assert "write issuer: https://token.actions.githubusercontent.com/acme" in refused.value.next_step


@pytest.mark.usefixtures("planned")
def test_a_desk_has_no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="signs as itself"):
        identity.command()
    monkeypatch.delenv("GITHUB_ACTIONS")
    with pytest.raises(UsageError, match="GitHub Actions alone"):
        identity.command(production=True)
