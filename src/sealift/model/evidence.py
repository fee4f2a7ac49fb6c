"""What the stations leave behind: one file for each station and subject."""

from __future__ import annotations

from typing import Literal

import msgspec

from sealift.model.config import Strict
from sealift.model.names import Digest, Platform, Repository, RunPath, Tag

Outcome = Literal["pass", "excused", "refused", "not-checked"]


class Gate(Strict, frozen=True, kw_only=True):
    """One thing that was looked at, and what was found."""

    station: str
    subject: str
    verdict: Outcome
    detail: str


class File(Strict, frozen=True, kw_only=True):
    """One file of the run folder, as it was."""

    path: RunPath
    sha256: Digest


class Evidence(Strict, frozen=True, kw_only=True):
    """The root of every station's evidence.

    ``made_from`` are the plan and the evidence that the station stood on, ``files`` what it wrote beside its
    evidence.
    """

    gates: tuple[Gate, ...] = ()
    made_from: tuple[File, ...] = ()
    files: tuple[File, ...] = ()


class Compiled(Evidence, frozen=True, kw_only=True):
    """One cell's binary, by its path in the run folder and its hash.

    ``limitations`` name object code in it that was not compiled from source.
    """

    path: RunPath
    sha256: Digest
    go_version: str
    command: tuple[str, ...]
    limitations: tuple[str, ...] = ()


class Proven(Evidence, frozen=True, kw_only=True):
    """A binary that can start on its base.

    ``folders`` names the modules that a folder of the repository replaces, by the folder; ``limitations`` are
    what the versions do not tell.
    """

    sha256: Digest
    linkage: str
    interpreter: str | None
    libraries: tuple[str, ...]
    go_version: str
    modules: tuple[str, ...]
    main_module: str
    revision: str
    modified: bool
    folders: dict[str, str] = msgspec.field(default_factory=dict)
    limitations: tuple[str, ...] = ()


class BuiltPlatform(Strict, frozen=True, kw_only=True):
    """One platform's manifest in an image index; ``binary_sha256`` is in hexadecimal digits."""

    digest: Digest
    binary_sha256: str
    compressed_bytes: int


class Built(Evidence, frozen=True, kw_only=True):
    """One variant's image: the index and its platforms, in an OCI layout of the run folder.

    ``programs`` are those that built it, as name@version, and their own hashes.
    """

    layout: RunPath
    digest: Digest
    platforms: dict[str, BuiltPlatform]
    base_digest: Digest
    programs: dict[str, Digest]


class BaseLooked(Evidence, frozen=True, kw_only=True):
    """One base whose signature and support were looked at, by its index."""

    digest: Digest


class Smoked(Evidence, frozen=True, kw_only=True):
    """One cell that was started, asked, and stopped."""

    digest: Digest
    runtime: str
    version_output: str
    start_seconds: float
    stop_seconds: float


class Scanned(Evidence, frozen=True, kw_only=True):
    """One cell's findings."""

    digest: Digest
    platform: Platform
    report: RunPath
    predicate: RunPath
    database_updated: str


class Listed(Evidence, frozen=True, kw_only=True):
    """One cell's software bills of materials, by their paths in the run folder."""

    digest: Digest
    spdx: RunPath
    cyclonedx: RunPath
    go_modules: int
    debian_packages: int


class Pushed(Evidence, frozen=True, kw_only=True):
    """One variant in the public registry, by digest."""

    repository: Repository
    digest: Digest


class SignedEntry(Strict, frozen=True, kw_only=True):
    """One statement in the registry, its predicate by its hash; ``made`` tells whether this run made it."""

    subject: str
    predicate_type: str
    predicate: Digest
    made: bool


class SignedAll(Evidence, frozen=True, kw_only=True):
    """Every statement of the release, and the claims that all their certificates share."""

    entries: tuple[SignedEntry, ...]
    claims: dict[str, str]


class VerifiedAll(Evidence, frozen=True, kw_only=True):
    """What two clients accepted, from the registry and the trust root alone."""

    subjects: tuple[str, ...]


class Drafted(Evidence, frozen=True, kw_only=True):
    """The GitHub release as a draft; ``uploaded`` names the assets that this run added."""

    release_id: int
    assets: dict[str, Digest]
    uploaded: tuple[str, ...] = ()


class Promoted(Evidence, frozen=True, kw_only=True):
    """The tags that name the release now; this run ``put`` some of them, and ``published`` it or not."""

    tags: dict[str, tuple[Tag, ...]]
    release_url: str
    put: tuple[str, ...] = ()
    published: bool = False
