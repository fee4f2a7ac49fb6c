"""Production's World is made in GitHub Actions alone, for this repository alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.model import bases, config
from sealift.model.names import Digest, Version
from sealift.model.plan import Plan
from sealift.production import only_in_actions, outside
from sealift.tools.sigstore_token import SECRETS
from tests.conftest import ROOT

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
