"""The one value in which production and a rehearsal differ: the addresses and the trust."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sealift.model.names import Digest, Repository
from sealift.model.statements import Claims, Identity


@dataclass(frozen=True, kw_only=True)
class Base:
    """One base image: its name upstream, its index, an OCI layout on disk, and who must have signed it.

    ``source`` is where a registry holds it with its signature, which ``trusted_root`` vouches for; without
    that file it is the public Sigstore.
    """

    name: str
    digest: Digest
    layout: Path
    source: Repository
    signer: Identity
    trusted_root: Path | None


@dataclass(frozen=True, kw_only=True)
class SigstoreWorld:
    """Where signatures come from and what is trusted. Without files it is the public instance, by TUF.

    Certificates must carry ``identity`` and ``claims``; ``token_env`` holds what only the signer may see:
    how to ask for an identity token.
    """

    trusted_root: Path | None
    trust_config: Path | None
    identity: Identity
    claims: Claims
    token_env: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class GitHubWorld:
    """The API's address, who asks, and the pauses in seconds that the API wants.

    Without a file the token is the job's own, in ``GITHUB_TOKEN``.
    """

    api: str
    token_file: Path | None
    between_requests: float
    between_writes: float


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything outside sealift. ``name`` is for reports; no station asks for it.

    ``patience_seconds`` is for how long one node of the line is tried again while the outside fails.
    ``registry`` is the public one, ``layouts`` the one on loopback that serves the run's images; ``env`` is
    the whole environment of the programs that speak to the outside, without the signer's secrets.
    """

    name: Literal["rehearsal", "production"]
    patience_seconds: float
    registry: str
    plain_http: bool
    layouts: str
    builder: str
    env: Mapping[str, str]
    sigstore: SigstoreWorld
    github: GitHubWorld
    bases: Mapping[str, Base]
    advisories: Path
    go_advisories: Path
    advisory_max_age_days: int | None
    stand_ins: tuple[str, ...]
    cannot_show: tuple[str, ...]

    def repository(self, name: str) -> Repository:
        """Name a variant's repository in the public registry."""
        return Repository(f"{self.registry}/{name}")

    def layout_repository(self, name: str) -> Repository:
        """Name a layout as the registry that serves the run's image folders does."""
        return Repository(f"{self.layouts}/{name}")
