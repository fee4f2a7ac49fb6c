"""``sealift identity``: as whom this job would sign a release, before anything is built."""

from __future__ import annotations

import os

from sealift import console
from sealift.commands.opening import Asked, ProductionOption, VersionOption, checkout, planned
from sealift.errors import UsageError


def command(*, version: VersionOption = None, production: ProductionOption = False) -> None:
    """Ask for the identity token that will sign, and compare it with ci/release.yaml; nothing is signed."""
    from sealift.production import of_this_run, only_in_actions, outside
    from sealift.tools.sigstore_token import token_of

    if not production:
        raise UsageError(
            "a rehearsal signs as itself: there is nothing to compare",
            next_step="sealift identity --production, in GitHub Actions",
        )
    plan = planned(checkout(), Asked(version=version, production=True))
    only_in_actions(plan, os.environ)
    sigstore = outside(plan).sigstore
    token_of(sigstore.identity, of_this_run(sigstore.claims, os.environ), os.environ)
    console.result(f"{plan.version} would be signed by {sigstore.identity.san} ({sigstore.identity.issuer})")
