"""Production's World: GitHub Actions, the public Sigstore, the registry of ci/release.yaml.

It is made from the job's own surroundings and never read from a file.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sealift import network
from sealift.errors import UsageError
from sealift.model.names import Digest
from sealift.model.plan import Plan
from sealift.model.statements import Claims, Identity
from sealift.model.world import GitHubWorld, SigstoreWorld, World
from sealift.services.ports import free_ports
from sealift.services.registry import layouts_registry
from sealift.services.supervised import Supervised
from sealift.tools import govulncheck, trivy
from sealift.tools.registry import Registry
from sealift.tools.sigstore_token import SECRETS, TOKEN_VARIABLES
from sealift.tools.upstream import fetch, locked_bases

# Where jobs are told the hash of the evidence that the job that built handed on.
EVIDENCE = "SEALIFT_EVIDENCE"
WORKFLOW = ".github/workflows/release.yml"
ADVISORY_MAX_AGE_DAYS = 3
PATIENCE_SECONDS = 3600.0
# Does some work, named by its words, until the outside gives it or patience ends.
Patiently = Callable[[Callable[[], None], str], None]


@contextmanager
def production(
    plan: Plan, *, cache: Path, images: Path, served: bool, patiently: Patiently
) -> Iterator[World]:
    """Open the real outside; ``served`` starts the registry on loopback that serves the run's images.

    ``patiently`` tries what has to be fetched for that.
    """
    seen = outside(plan)
    bases = locked_bases(plan, cache)
    if served:
        patiently(lambda: fetch(bases.values(), Registry(env=seen.env)), "fetching the bases")
    with Supervised(log=cache / "logs" / "production.log") as services, free_ports(1) as held:
        (port,) = held.release()
        if served:
            images.mkdir(parents=True, exist_ok=True)
            services.start([layouts_registry(images, port, log=cache / "logs" / "layouts.log")])
        yield replace(
            seen,
            patience_seconds=PATIENCE_SECONDS,
            layouts=f"localhost:{port}",
            builder=os.environ.get("BUILDX_BUILDER", ""),
            sigstore=replace(
                seen.sigstore,
                claims=of_this_run(seen.sigstore.claims, os.environ),
                token_env=_tokens(os.environ),
            ),
            bases=bases,
            advisories=cache / "advisories" / "trivy",
            go_advisories=cache / "advisories" / "go",
        )


def outside(plan: Plan) -> World:
    """Describe the real outside for one who only looks: any desk may, and nothing that signs is in it."""
    ref = f"refs/tags/{plan.version.git_tag}"
    signed_by = plan.config.signer.signed_by(plan.config.source, WORKFLOW, ref)
    nowhere = Path(os.devnull)
    return World(
        name="production",
        patience_seconds=0,
        registry=plan.config.registry,
        plain_http=False,
        layouts="",
        builder="",
        env={name: value for name, value in os.environ.items() if name not in SECRETS},
        sigstore=SigstoreWorld(
            trusted_root=None,
            trust_config=None,
            identity=Identity(san=f"{plan.config.host.url}/{signed_by}", issuer=plan.config.token_issuer),
            claims=Claims(
                repository=plan.config.source,
                commit=plan.commit,
                ref=ref,
                workflow=Path(WORKFLOW).stem,
                trigger="push",
                workflow_file=WORKFLOW,
                repository_id=_number(plan.config.signer.repository_id),
                owner_id=_number(plan.config.signer.owner_id),
                visibility=plan.config.signer.visibility,
                self_hosted=plan.config.signer.self_hosted,
            ),
            token_env={},
        ),
        github=GitHubWorld(
            api=plan.config.host.api, token_file=None, between_requests=0.25, between_writes=1.0
        ),
        bases={},
        advisories=nowhere,
        go_advisories=nowhere,
        advisory_max_age_days=ADVISORY_MAX_AGE_DAYS,
        stand_ins=(),
        cannot_show=(),
    )


def of_this_run(claims: Claims, env: Mapping[str, str]) -> Claims:
    """Add what GitHub tells a job of its repository and its run; ci/release.yaml's own numbers stay.

    A run that verifies for others, at another time, is another one than the run that signed.
    """
    return replace(
        claims,
        repository_id=claims.repository_id or env.get("GITHUB_REPOSITORY_ID") or None,
        owner_id=claims.owner_id or env.get("GITHUB_REPOSITORY_OWNER_ID") or None,
        run_id=env.get("GITHUB_RUN_ID") or None,
    )


def only_in_actions(plan: Plan, env: Mapping[str, str]) -> None:
    """Refuse any other place: a desk can look and verify, never sign or promote for production."""
    if env.get("GITHUB_ACTIONS") != "true":
        raise UsageError(
            "--production works in GitHub Actions alone",
            means="a release is signed with the identity of a workflow run, which this machine does not have",
            next_step=f"git push origin {plan.version.git_tag}; here, rehearse: sealift release",
        )
    server = env.get("GITHUB_SERVER_URL", plan.config.host.url)
    if server.rstrip("/") != plan.config.host.url:
        raise UsageError(
            f"this job runs on {server}; ci/release.yaml releases from {plan.config.host.url}",
            means="the release's identity, its page and its source would be of another GitHub",
            next_step=f"write github: {server.rstrip('/').removeprefix('https://')} into ci/release.yaml",
        )
    if env.get("GITHUB_REPOSITORY") != plan.config.source:
        raise UsageError(
            f"this is {env.get('GITHUB_REPOSITORY')}; ci/release.yaml releases {plan.config.source}",
            next_step="correct source in ci/release.yaml, or rehearse: sealift release",
        )
    tag = plan.version.git_tag
    runs = {
        "GITHUB_REF": f"refs/tags/{tag}",
        "GITHUB_REF_TYPE": "tag",
        "GITHUB_REF_NAME": tag,
        "GITHUB_SHA": plan.commit,
    }
    for name, value in runs.items():
        if (told := env.get(name) or value) != value:
            raise UsageError(
                f"{name} is {told}; {plan.version} of this checkout is {value}",
                means="the runner's variables contradict each other, or the checkout is not the run's own",
                next_step="remove what sets GITHUB_ variables in the workflow, and check out the tag itself",
            )


def handed_on(env: Mapping[str, str], *, needed: bool) -> Digest | None:
    """Read which evidence the job that built handed on: its hash, told past the folder that it describes.

    ``needed`` is where this job has not built itself.
    """
    if told := env.get(EVIDENCE):
        try:
            return Digest.parse(told)
        except UsageError as error:
            raise UsageError(f"{EVIDENCE}: {error.happened}", next_step=error.next_step) from error
    if needed:
        raise UsageError(
            f"{EVIDENCE} is not set",
            means="nothing tells this job which evidence the job that built has handed on",
            next_step=f"set it to the output evidence of the job that runs sealift sbom, as {WORKFLOW} does",
        )
    return None


def download_advisories(cache: Path) -> None:
    """Fetch Trivy's database and the Go team's anew into the cache."""
    # Trivy keeps one that calls itself new enough, whoever has put it there.
    shutil.rmtree(cache / "advisories" / "trivy", ignore_errors=True)
    trivy.download_database(cache / "advisories" / "trivy")
    govulncheck.download_database(cache / "advisories" / "go")


def _number(number: int | None) -> str | None:
    return None if number is None else str(number)


def _tokens(env: Mapping[str, str]) -> dict[str, str]:
    return network.settings(env) | {name: env[name] for name in TOKEN_VARIABLES if name in env}
