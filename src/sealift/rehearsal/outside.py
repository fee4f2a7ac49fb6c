"""A rehearsal's outside as one meets it who only looks: its names, its signer, and who answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from sealift import network
from sealift.environment import search_path
from sealift.model.plan import Plan
from sealift.model.statements import Claims, Identity
from sealift.model.world import GitHubWorld, SigstoreWorld, World
from sealift.rehearsal.issuer import WORKFLOW, github_claims, github_identity
from sealift.services.ports import LOOPBACK
from sealift.services.service import Service, TcpReady

CANNOT_SHOW = (
    "the public transparency log's shards and outages",
    "GitHub's own tokens, rights and rate limits",
    "a hosted registry's quirks",
    "a compile from empty caches: this user's earlier compiles are used",
)


def outside(
    plan: Plan, folder: Path, ports: Mapping[str, int], *, issuer: str, env: Mapping[str, str]
) -> World:
    """Describe the world in a folder; nothing that makes or signs is in it.

    ``issuer`` is the address that stands in for that of GitHub's tokens, as certificates name it.
    """
    claims = github_claims(plan.config.source, plan.commit, plan.version, plan.config.signer)
    return World(
        name="rehearsal",
        patience_seconds=0,
        registry=f"localhost:{ports['registry']}",
        plain_http=True,
        layouts=f"localhost:{ports['layouts']}",
        builder="",
        env=env,
        sigstore=SigstoreWorld(
            trusted_root=folder.absolute() / "sigstore" / "trusted_root.json",
            trust_config=None,
            identity=Identity(san=github_identity(claims, plan.config.host.url), issuer=issuer),
            claims=Claims(
                repository=claims["repository"],
                commit=claims["sha"],
                ref=claims["ref"],
                workflow=claims["workflow"],
                trigger=claims["event_name"],
                workflow_file=WORKFLOW,
                repository_id=claims["repository_id"],
                owner_id=claims["repository_owner_id"],
                run_id=claims["run_id"],
                visibility=claims["repository_visibility"],
                self_hosted=plan.config.signer.self_hosted,
            ),
            token_env={},
        ),
        github=GitHubWorld(
            api=f"http://{LOOPBACK}:{ports['github']}",
            token_file=folder / "github.token",
            between_requests=0,
            between_writes=0,
        ),
        bases={},
        advisories=folder / "advisories" / "trivy",
        go_advisories=folder / "advisories" / "go",
        advisory_max_age_days=None,
        stand_ins=(),
        cannot_show=CANNOT_SHOW,
    )


def client_environment(home: Path) -> dict[str, str]:
    """Give programs a home of their own, without credentials and settings; how to leave is the machine's."""
    for part in ("docker", "buildx"):
        (home / part).mkdir(parents=True, exist_ok=True)
    return network.settings() | {
        "PATH": search_path(),
        "HOME": str(home),
        "DOCKER_CONFIG": str(home / "docker"),
        "BUILDX_CONFIG": str(home / "buildx"),
    }


def github_service(folder: Path, port: int, *, repository: str, token_file: Path, log: Path) -> Service:
    """Return the stand-in for GitHub over a folder."""
    return Service(
        name="github",
        argv=(
            *(sys.executable, "-I", "-m", "sealift.rehearsal.github", "--port", str(port)),
            *("--dir", str(folder), "--repository", repository, "--token-file", str(token_file)),
        ),
        ready=TcpReady(port),
        log=log,
    )
