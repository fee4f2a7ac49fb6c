"""``ci/bases.lock.yaml``: which base images production builds on, and who signed them.

lock = load(Path("ci/bases.lock.yaml"))
print(lock["debian13"]["static"].digest)
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import yaml

from sealift.errors import UsageError
from sealift.model.codec import publish
from sealift.model.config import Strict
from sealift.model.names import Digest, Repository, Tag
from sealift.model.settings import PlainLine
from sealift.model.statements import Identity
from sealift.model.yamlfile import load_yaml, parse_yaml

UPSTREAM = "gcr.io/distroless"
TAG = Tag("nonroot")
# https://github.com/GoogleContainerTools/distroless#how-do-i-verify-distroless-images
GOOGLE = Identity(san="keyless@distroless.iam.gserviceaccount.com", issuer="https://accounts.google.com")
# Whose signature on a base needs no waiver.
MAKERS = frozenset({GOOGLE})

HEADER = """\
# The distroless images that production builds on: suite, base, and what was verified on which day.
# `sealift bases update` looks at what upstream publishes now, verifies its signature and writes this file.
"""


class LockedBase(Strict, frozen=True, kw_only=True):
    """One base's index, whose signature was verified on ``date``."""

    digest: Digest
    identity: PlainLine
    issuer: PlainLine
    date: date

    @property
    def signer(self) -> Identity:
        """Who signed it."""
        return Identity(san=self.identity, issuer=self.issuer)


Lock = dict[str, dict[str, LockedBase]]


def load(path: Path) -> Lock:
    """Read the file; one without entries is an empty lock."""
    return load_yaml(path, Lock) if path.exists() else {}


def parse(text: str, path: Path) -> Lock:
    """Read a lock's text; ``path`` is for messages."""
    return parse_yaml(text, path, Lock)


def save(path: Path, lock: Lock) -> None:
    """Publish the file, sorted."""
    plain = {
        suite: {
            name: {
                "digest": str(b.digest),
                "identity": b.identity,
                "issuer": b.issuer,
                "date": b.date,
            }
            for name, b in sorted(bases.items())
        }
        for suite, bases in sorted(lock.items())
    }
    text = yaml.safe_dump(plain, sort_keys=False) if plain else ""
    publish(path, (HEADER + text).encode())


def locked(lock: Lock, suite: str, name: str) -> LockedBase:
    """Return one base, or say how to lock it."""
    found = lock.get(suite, {}).get(name)
    if found is None:
        raise UsageError(
            f"ci/bases.lock.yaml has no {name} of {suite}",
            means="production builds only on bases whose digest and signature were looked at",
            next_step="sealift bases update, look at the change, and commit it",
        )
    return found


def repository(name: str, suite: str, upstream: str = UPSTREAM) -> Repository:
    """Name a base's repository, ``gcr.io/distroless/static-debian13``."""
    return Repository(f"{upstream}/{name}-{suite}")
