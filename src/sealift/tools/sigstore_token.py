"""Identity tokens: asked for in GitHub Actions, and looked at before anything is signed with one.

token = token_of(identity, claims, env)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from sealift.errors import OutsideError, RefusedError, UsageError
from sealift.model.claims import SELF_HOSTED, Certified, of_token, problems
from sealift.model.statements import Claims, Identity
from sealift.network import ProxyFailedError
from sealift.patience import passes, retry_after
from sealift.tools.http import Http

if TYPE_CHECKING:
    from sigstore.oidc import IdentityToken

AUDIENCE = "sigstore"
_CLAIMS = ("job_workflow_ref", "iss", "repository", "sha", "ref", "workflow", "event_name")
# Until the provider must have answered.
SECONDS = 30.0
# What only the signer may see, and what only the draft may.
TOKEN_VARIABLES = ("ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
SECRETS = frozenset({*TOKEN_VARIABLES, "GITHUB_TOKEN", "GH_TOKEN", "ACTIONS_RUNTIME_TOKEN"})


def ambient_token(env: Mapping[str, str] | None = None) -> str:
    """Ask GitHub Actions, or what stands in for it, for an identity token.

    https://docs.github.com/en/actions/reference/security/oidc
    """
    told = os.environ if env is None else env
    url, secret = told.get("ACTIONS_ID_TOKEN_REQUEST_URL"), told.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    if not url or not secret:
        raise UsageError(
            "there is no identity here to sign with",
            means="only a GitHub Actions job with 'id-token: write', or a rehearsal, has one",
            next_step="push the tag, or rehearse: sealift release",
        )
    try:
        joined = "&" if urlsplit(url).query else "?"
        # Http follows no redirect: the secret goes to no other address.
        answer = Http(told, connect=SECONDS, read=SECONDS).ask(
            "GET",
            f"{url}{joined}{urlencode({'audience': AUDIENCE})}",
            headers={"Authorization": f"bearer {secret}"},
        )
        if answer.status == HTTPStatus.OK:
            return str(json.loads(answer.body)["value"])
    except ProxyFailedError:
        raise
    except (OutsideError, ValueError, KeyError, TypeError, RecursionError) as err:
        # The words of the cause may hold the address with its secrets; its type says enough.
        again = err.again if isinstance(err, OutsideError) else True
        raise OutsideError(
            f"no identity token came: {type(err.__cause__ or err).__name__}", again=again
        ) from None
    raise OutsideError(
        f"the identity provider answered {answer.status} when asked for a token",
        again=passes(answer.status),
        retry_after=retry_after(answer.headers),
    )


def signatory(token: str, server: str = "https://github.com") -> Certified:
    """Say what the certificate of a GitHub Actions token is going to carry.

    ``server`` is the GitHub whose workflow it is, which no claim names.
    """
    claims = identity_token(token)._unverified_claims  # noqa: SLF001 - the library shows no other way
    if odd := [name for name in _CLAIMS if not isinstance(claims.get(name, ""), str)]:
        raise OutsideError(f"the claim {odd[0]} of the identity token is no text", again=False)
    try:
        return of_token(claims, server)
    except KeyError as err:
        raise UsageError(f"the identity token has no claim {err}: it is not a GitHub workflow's") from err


def token_of(identity: Identity, claims: Claims, env: Mapping[str, str] | None = None) -> str:
    """Ask for a token, and refuse one of somebody else before a public log has it for ever.

    A claim that is None need only be there.
    """
    token = ambient_token(env)
    got = signatory(token, "://".join(urlsplit(identity.san)[:2]))
    name = identity_token(token)._unverified_claims.get("workflow")  # noqa: SLF001 - no extension has it
    wrong = list(problems(got, identity, claims))
    if claims.workflow not in (None, name):
        wrong.append(f"workflow's name: expected {claims.workflow}, got {name}")
    if len(wrong) == 1 and identity.issuer != got["issuer"]:
        raise RefusedError(
            f"another issuer than ci/release.yaml names has made this job's identity token: {wrong[0]}",
            means="an enterprise can have an issuer of its own; everyone who verifies must name the same one",
            next_step=f"where that is yours, write issuer: {got['issuer']} into ci/release.yaml",
        )
    if len(wrong) == 1 and got["runner"] == SELF_HOSTED and not claims.self_hosted:
        raise RefusedError(
            f"this job would sign on a machine of its own: {wrong[0]}",
            means="what else ran on a self-hosted runner is not known, so signatures made there are refused",
            next_step="let the job sign run on a runner of GitHub's; where that cannot be, write "
            "signer: {self_hosted: true} into ci/release.yaml",
        )
    if wrong:
        raise RefusedError(
            f"this job would sign as somebody else: {'; '.join(wrong)}",
            means="the token is the job's own word for commit and workflow, and the plan is another's",
            next_step="run the workflow on the tag that the plan is of",
        )
    return token


def identity_token(raw: str) -> IdentityToken:
    from sigstore.oidc import IdentityError, IdentityToken

    try:
        return IdentityToken(raw)
    except IdentityError as err:
        raise _unusable(err) from None
    except Exception as err:  # noqa: BLE001
        # The library reads claims of any type as if they were text. Its words may hold the token.
        raise OutsideError(f"the identity token cannot be used: {type(err).__name__}", again=False) from None


def _unusable(err: Exception) -> OutsideError:
    """Say what is wrong with a token, never the token: the library calls every one of them malformed."""
    import jwt

    if not isinstance(err.__cause__, (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError)):
        return OutsideError(f"the identity token cannot be used: {err}", again=False)
    return OutsideError(
        f"the identity token is not of this time: {err.__cause__}",
        means=f"the provider's clock and this one, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, do not agree",
        next_step="set the clock (timedatectl), then run again",
        again=False,
    )
