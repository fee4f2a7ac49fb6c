"""Production's World is made in GitHub Actions alone, for this repository alone."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from sealift.errors import UsageError
from sealift.model import bases, config
from sealift.model.claims import of_token, problems
from sealift.model.names import Digest, Version
from sealift.model.plan import Plan
from sealift.production import EVIDENCE, handed_on, of_this_run, only_in_actions, outside
from sealift.rehearsal.issuer import github_claims
from sealift.stations.assets import notes
from sealift.stations.image import labels
from sealift.tools.sigstore_token import SECRETS
from tests.conftest import ROOT
from tests.unit.stations.things import built

PLAN = Plan(
    version=Version.parse("1.2.3"),
    commit="c" * 40,
    time=0,
    modified=False,
    left_out=(),
    config=config.load(ROOT / "ci" / "release.yaml"),
    moving_tags=(),
)
ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": PLAN.config.source}


def test_a_desk_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(UsageError, match="GitHub Actions alone") as refused:
        only_in_actions(PLAN, {})
    assert refused.value.next_step.startswith("git push origin v1.2.3")


def test_a_fork_is_refused() -> None:
    with pytest.raises(UsageError, match="this is else/where"):
        only_in_actions(PLAN, ACTIONS | {"GITHUB_REPOSITORY": "else/where"})


def test_the_repository_itself_may() -> None:
    only_in_actions(PLAN, ACTIONS)
    only_in_actions(PLAN, ACTIONS | {"GITHUB_SERVER_URL": "https://github.com"})


def configured(*lines: str) -> Plan:
    """Plan the same release with more settings."""
    text = "\n".join([(ROOT / "ci" / "release.yaml").read_text(), *lines, ""])
    return msgspec.structs.replace(PLAN, config=config.parse(text, Path("release.yaml")))


def test_a_job_on_another_github_is_refused_with_the_setting() -> None:
    there = ACTIONS | {"GITHUB_SERVER_URL": "https://git.acme.test"}
    with pytest.raises(UsageError, match=r"this job runs on https://git\.acme\.test") as refused:
        only_in_actions(PLAN, there)
    assert refused.value.next_step == "write github: git.acme.test into ci/release.yaml"
    only_in_actions(configured("github: git.acme.test"), there)
    with pytest.raises(UsageError, match=r"releases from https://git\.acme\.test"):
        only_in_actions(
            configured("github: git.acme.test"), ACTIONS | {"GITHUB_SERVER_URL": "https://github.com"}
        )


NUMBERS = {"GITHUB_REPOSITORY_ID": "7", "GITHUB_REPOSITORY_OWNER_ID": "8", "GITHUB_RUN_ID": "9"}


def test_a_run_must_sign_as_what_github_tells_of_it() -> None:
    claims = outside(PLAN).sigstore.claims
    assert (claims.repository_id, claims.owner_id, claims.run_id, claims.self_hosted) == (
        None,
        None,
        None,
        False,
    )
    here = of_this_run(claims, NUMBERS)
    assert (here.repository_id, here.owner_id, here.run_id) == ("7", "8", "9")
    assert of_this_run(claims, {}) == claims


def test_numbers_that_are_written_down_count() -> None:
    """A repository that took over a name has another number at GitHub."""
    plan = configured("signer: {repository_id: 1, owner_id: 2, visibility: private, self_hosted: true}")
    claims = of_this_run(outside(plan).sigstore.claims, NUMBERS)
    assert (claims.repository_id, claims.owner_id, claims.run_id) == ("1", "2", "9")
    assert (claims.visibility, claims.self_hosted) == ("private", True)


@pytest.mark.parametrize(
    ("workflow", "signs"),
    [
        ("acme/shared/.github/workflows/pipeline.yml@refs/tags/v4", "@refs/tags/v4"),
        ("sealift/sealift/.github/workflows/pipeline.yml", "@refs/tags/v1.2.3"),
    ],
)
def test_another_workflow_may_sign(workflow: str, signs: str) -> None:
    plan = configured(f"signer: {{workflow: {workflow}}}")
    sigstore = outside(plan).sigstore
    assert sigstore.identity.san == f"https://github.com/{workflow.partition('@')[0]}{signs}"
    token = github_claims(plan.config.source, plan.commit, plan.version, plan.config.signer)
    certified = of_token(token | {"iss": sigstore.identity.issuer}, "https://github.com")
    assert list(problems(certified, sigstore.identity, sigstore.claims)) == []
    assert list(
        problems({**certified, "workflow": sigstore.identity.san}, sigstore.identity, sigstore.claims)
    )


def test_an_enterprises_host_and_issuer_are_in_everything_that_names_them() -> None:
    world = outside(configured("github: git.acme.test"))
    assert world.sigstore.identity.san.startswith("https://git.acme.test/sealift/sealift/.github/workflows/")
    assert world.sigstore.identity.issuer == "https://git.acme.test/_services/token"
    assert world.github.api == "https://git.acme.test/api/v3"
    plan = configured("issuer: https://token.actions.githubusercontent.com/acme")
    assert outside(plan).sigstore.identity.issuer == "https://token.actions.githubusercontent.com/acme"
    assert outside(plan).github.api == "https://api.github.com"
    text = notes(plan, {"static": built("static")}, outside(plan))
    assert "--certificate-oidc-issuer https://token.actions.githubusercontent.com/acme" in text
    own = configured("github: git.acme.test")
    assert labels(own)["org.opencontainers.image.source"] == "https://git.acme.test/sealift/sealift"


def test_a_desk_may_look_and_finds_nothing_to_sign_with(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "a secret")
    world = outside(PLAN)
    assert (world.name, world.registry, world.plain_http) == ("production", "ghcr.io/sealift", False)
    workflow = "https://github.com/sealift/sealift/.github/workflows/release.yml"
    assert world.sigstore.identity.san == f"{workflow}@refs/tags/v1.2.3"
    assert world.sigstore.claims.commit == PLAN.commit
    assert world.sigstore.token_env == {}
    assert not SECRETS & set(world.env)


def test_no_program_gets_a_secret() -> None:
    assert {"GITHUB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_RUNTIME_TOKEN"} <= SECRETS


def test_an_empty_lock_says_how_to_fill_it(tmp_path: Path) -> None:
    bases.save(tmp_path / "lock.yaml", {})
    lock = bases.load(tmp_path / "lock.yaml")
    assert lock == {}
    with pytest.raises(UsageError, match="has no static of debian12") as refused:
        bases.locked(lock, "debian12", "static")
    assert "sealift bases update" in refused.value.next_step


def test_a_lock_that_was_saved_is_read_again(tmp_path: Path) -> None:
    from datetime import date

    entry = bases.LockedBase(
        digest=Digest("sha256:" + "1" * 64),
        identity="me@example.test",
        issuer="https://x.test",
        date=date(2026, 11, 24),
    )
    bases.save(tmp_path / "lock.yaml", {"debian13": {"static": entry}})
    assert bases.locked(bases.load(tmp_path / "lock.yaml"), "debian13", "static") == entry


def test_a_job_that_did_not_build_is_told_what_was_handed_on() -> None:
    digest = "sha256:" + "1" * 64
    assert handed_on({EVIDENCE: digest}, needed=True) == digest
    assert handed_on({EVIDENCE: digest}, needed=False) == digest
    assert handed_on({}, needed=False) is None
    for env in ({}, {EVIDENCE: ""}):
        with pytest.raises(UsageError, match="SEALIFT_EVIDENCE is not set") as refused:
            handed_on(env, needed=True)
        assert "the output evidence of the job" in refused.value.next_step
    with pytest.raises(UsageError, match="SEALIFT_EVIDENCE: 'x' is not a digest"):
        handed_on({EVIDENCE: "x"}, needed=False)
