"""What a certificate tells of the workflow run that signed, and what each of these claims must be.

Fulcio copies them from GitHub's identity token:
https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md

    for problem in problems(certified, identity, claims):
        ...
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from sealift.model.statements import Claims, Identity

# Claims by the words that messages use.
Certified = Mapping[str, str]
# The claims that every signature of one run shares; a second attempt of a run is the same run.
Run = tuple[tuple[str, str], ...]

# The last number of 1.3.6.1.4.1.57264.1.N. Those below 8 repeat some of these in a form that is deprecated.
EXTENSIONS: Mapping[int, str] = {
    8: "issuer",
    9: "build signer",
    10: "build signer's commit",
    11: "runner",
    12: "repository",
    13: "commit",
    14: "ref",
    15: "repository id",
    16: "owner",
    17: "owner id",
    18: "workflow",
    19: "workflow's commit",
    20: "trigger",
    21: "run",
    22: "visibility",
    23: "environment",
    24: "token subject",
}
# A job need not have an environment, and only newer certificates name the token's subject.
OPTIONAL = frozenset({"environment", "token subject"})
_ATTEMPT = re.compile(r"/attempts/[1-9][0-9]*$")
HOSTED, SELF_HOSTED = "github-hosted", "self-hosted"


def of_token(token: Mapping[str, Any], server: str) -> Certified:
    """Return what Fulcio will write into the certificate of a token; ``server`` is its GitHub.

    Raises KeyError where it is no token of a GitHub workflow.
    """
    source = f"{server}/{token['repository']}"
    found = {
        "issuer": token["iss"],
        "build signer": f"{server}/{token['job_workflow_ref']}",
        "build signer's commit": token["job_workflow_sha"],
        "runner": token["runner_environment"],
        "repository": source,
        "commit": token["sha"],
        "ref": token["ref"],
        "repository id": token["repository_id"],
        "owner": f"{server}/{token['repository_owner']}",
        "owner id": token["repository_owner_id"],
        "workflow": f"{server}/{token['workflow_ref']}",
        "workflow's commit": token["workflow_sha"],
        "trigger": token["event_name"],
        "run": f"{source}/actions/runs/{token['run_id']}/attempts/{token['run_attempt']}",
        "visibility": token["repository_visibility"],
        "environment": token.get("environment"),
        "token subject": token["sub"],
    }
    return {name: str(value) for name, value in found.items() if value}


def problems(certified: Certified, identity: Identity, claims: Claims) -> Iterator[str]:
    """Say which claims are missing or are others than those of this release.

    What ``claims`` leaves open need only be there: all signatures of a release must agree in it. Without a
    repository there is no workflow whose claims could be compared.
    """
    if claims.repository is None:
        return
    server = "://".join(urlsplit(identity.san)[:2])
    source = f"{server}/{claims.repository}"
    # A reusable workflow of another repository has a commit of its own, which only that repository knows.
    own = identity.san.startswith(f"{source}/") and identity.san.endswith(f"@{claims.ref}")
    expected = {
        "issuer": identity.issuer,
        "build signer": identity.san,
        "build signer's commit": claims.commit if own else None,
        "runner": None if claims.self_hosted else HOSTED,
        "repository": source,
        "commit": claims.commit,
        "ref": claims.ref,
        "repository id": claims.repository_id,
        "owner": source.rpartition("/")[0],
        "owner id": claims.owner_id,
        "workflow": f"{source}/{claims.workflow_file}@{claims.ref}" if claims.workflow_file else None,
        "workflow's commit": claims.commit,
        "trigger": claims.trigger,
        "visibility": claims.visibility,
    }
    for name in EXTENSIONS.values():
        want, got = expected.get(name), certified.get(name)
        if not got:
            if name not in OPTIONAL:
                yield f"{name}: expected {want or 'a value'}, got nothing"
        elif want is not None and want != got:
            yield f"{name}: expected {want}, got {got}"
    if got := certified.get("run"):
        run = f"{source}/actions/runs/{claims.run_id or 'N'}"
        number = re.escape(claims.run_id) if claims.run_id else "[1-9][0-9]*"
        if not re.fullmatch(f"{re.escape(source)}/actions/runs/{number}{_ATTEMPT.pattern}", got):
            yield f"run: expected {run}/attempts/N, got {got}"
    if (got := certified.get("runner")) and claims.self_hosted and got not in (HOSTED, SELF_HOSTED):
        yield f"runner: expected {HOSTED} or {SELF_HOSTED}, got {got}"


def run_of(certified: Certified) -> Run:
    """Return the claims that all signatures of a release must have in common."""
    shared = {**certified, "run": _ATTEMPT.sub("", certified.get("run", ""))}
    return tuple(sorted(shared.items()))


def fullest(found: Iterable[Iterable[Run]]) -> Run | None:
    """Choose the run that signed the most of some things; each has the runs that signed it."""
    counts = Counter(run for runs in found for run in set(runs))
    return max(counts, key=lambda run: (counts[run], run), default=None)


def disagreement(run: Run, other: Run) -> Iterator[str]:
    """Say in which claims two runs differ."""
    ours, theirs = dict(run), dict(other)
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            yield f"{name}: expected {ours.get(name, 'nothing')}, got {theirs.get(name, 'nothing')}"


def described(run: Run) -> str:
    """Say of a run what a reader can look up on GitHub."""
    told = dict(run)
    ids = (f"{name} {told[name]}" for name in ("repository id", "owner id") if name in told)
    return ", ".join(filter(None, (told.get("run"), told.get("runner"), *ids, told.get("visibility"))))
