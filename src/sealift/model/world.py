"""The one value in which production and a rehearsal differ: the addresses and the trust."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sealift.model.names import Digest, Repository


@dataclass(frozen=True, kw_only=True)
class Base:
    """One base image: an OCI layout on disk, the digest of its index, and its name upstream."""

    name: str
    digest: Digest
    layout: Path


@dataclass(frozen=True, kw_only=True)
class SigstoreWorld:
    """Where signatures come from and what is trusted. Without files it is the public instance, by TUF."""

    trusted_root: Path | None
    trust_config: Path | None
    issuer: str
    identity: str


@dataclass(frozen=True, kw_only=True)
class GitHubWorld:
    """The API's address and the file that holds the token."""

    api: str
    token_file: Path | None


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything outside sealift. ``name`` is for reports; no station asks for it."""

    name: Literal["rehearsal", "production"]
    registry: str
    plain_http: bool
    layouts: str
    builder: str
    env: dict[str, str]
    sigstore: SigstoreWorld
    github: GitHubWorld
    bases: dict[str, Base]
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
