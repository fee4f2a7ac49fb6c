"""Whoever speaks to the outside for a release, each made from its World."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from sealift.model.world import Base, World
from sealift.tools import regctl
from sealift.tools.cosign import Cosign
from sealift.tools.github import GitHub, Pace
from sealift.tools.registry import Registry
from sealift.tools.sigstore_client import BundleVerifier, SigstoreSigner
from sealift.tools.sigstore_token import token_of

# What a copy may take where nothing fails, at a desk.
COPY_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Clients:
    """The clients of one release; ``source`` is its repository on GitHub."""

    world: World
    source: str

    @cached_property
    def registry(self) -> Registry:
        """Ask the public registry, and the one that serves the run's images.

        It is one, for it remembers what a registry can do. A copy tries again by itself, so it gets no more
        time than somebody has who waits for it.
        """
        plain = (self.world.registry, self.world.layouts) if self.world.plain_http else (self.world.layouts,)
        timeout = min(regctl.TIMEOUT, COPY_SECONDS + self.world.patience_seconds)
        return Registry(plain_http=plain, env=self.world.env, timeout=timeout)

    @cached_property
    def signer(self) -> SigstoreSigner:
        """Sign as the job that this is. It is one, for it keeps what a try that broke off has made."""
        sigstore = self.world.sigstore
        return SigstoreSigner(
            trust_config=sigstore.trust_config,
            token=lambda: token_of(sigstore.identity, sigstore.claims, sigstore.token_env),
        )

    def verifier(self) -> BundleVerifier:
        """Verify with the sigstore library."""
        sigstore = self.world.sigstore
        return BundleVerifier(
            trusted_root=sigstore.trusted_root, identity=sigstore.identity, claims=sigstore.claims
        )

    def cosign(self) -> Cosign:
        """Verify with the client that most people have."""
        sigstore = self.world.sigstore
        return Cosign(
            trusted_root=sigstore.trusted_root,
            identity=sigstore.identity,
            claims=sigstore.claims,
            env=self.world.env,
        )

    def cosign_of(self, base: Base) -> Cosign:
        """Verify what a base's maker has signed."""
        return Cosign(trusted_root=base.trusted_root, identity=base.signer, env=self.world.env)

    def github(self, *, public: bool = False) -> GitHub:
        """Ask GitHub, with the world's token or the job's own; what is public needs none."""
        world = self.world.github
        token = (
            world.token_file.read_text().strip() if world.token_file else os.environ.get("GITHUB_TOKEN", "")
        )
        pace = Pace(between_requests=world.between_requests, between_writes=world.between_writes)
        return GitHub(world.api, token or (None if public else ""), self.source, pace=pace)
