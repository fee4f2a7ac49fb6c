"""ci/tools.lock: the hash of each program's binary, by platform and Go version.

    actionlint:
      linux/amd64 go1.26.8: 8d3f...

A locked hash is what a cache is believed for; without one, a binary counts as unlocked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

import msgspec
import yaml

from sealift.errors import UsageError
from sealift.model.codec import convert
from sealift.model.names import Platform
from sealift.places import shell_word

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]

HEADER = """\
# The SHA-256 of each program built from ci/tools/<name>/, by platform and Go version.
# Whoever builds the same module with the same Go gets these bytes; others are refused.
# `sealift doctor --lock` adds what was built and is not here.
"""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """The hashes that are known."""

    hashes: Mapping[str, Mapping[str, Sha256]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file; none is an empty lock."""
        try:
            raw = yaml.safe_load(path.read_text()) or {}
            return cls(hashes=convert(raw, dict[str, dict[str, Sha256]]))
        except FileNotFoundError:
            return cls()
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise UsageError(
                f"{path} is not a lock: {error}",
                next_step=f"git checkout -- {shell_word(path)}, or correct it",
            ) from error

    def get(self, name: str, key: str) -> str | None:
        """Return the hash of one program for one key, or None."""
        return self.hashes.get(name, {}).get(key)

    def having(self, name: str, key: str, sha256: str) -> Lock:
        """Return a lock that also knows this one."""
        return Lock(hashes={**self.hashes, name: {**self.hashes.get(name, {}), key: sha256}})

    def write(self, path: Path) -> None:
        """Publish the file, sorted."""
        plain = {name: dict(sorted(keys.items())) for name, keys in sorted(self.hashes.items())}
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_text(HEADER + yaml.safe_dump(plain, width=200))
        part.replace(path)


def key_of(platform: Platform, go_version: str) -> str:
    """Spell the key of a platform and a Go version, ``linux/amd64 go1.26.8``."""
    return f"{platform} go{go_version}"
