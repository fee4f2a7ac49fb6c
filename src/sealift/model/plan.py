"""The plan: what one release is made of, as values, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from sealift.model.bases import LockedBase
from sealift.model.config import Config, Strict, Variant
from sealift.model.exceptions import Exception_
from sealift.model.names import Platform, Tag, Version
from sealift.model.policy import Changes, Weaker


@dataclass(frozen=True, order=True)
class Cell:
    """One variant on one platform: the unit most stations work on."""

    variant: str
    platform: Platform

    def __str__(self) -> str:
        return f"{self.variant}/{self.platform}"

    @property
    def slug(self) -> str:
        """The cell as part of a file's name."""
        return f"{self.variant}-{self.platform.slug}"


class Plan(Strict, frozen=True, kw_only=True):
    """One release. ``time`` is the commit's, in seconds since 1970: SOURCE_DATE_EPOCH of every build.

    ``waivers`` and ``bases`` are those of the commit that concern it; ``weaker`` and ``policy`` tell a
    reviewer what lets through more than the default, and what has changed since the last release.
    """

    version: Version
    commit: str
    time: int
    modified: bool
    left_out: tuple[str, ...]
    config: Config
    moving_tags: tuple[Tag, ...]
    waivers: tuple[Exception_, ...] = ()
    bases: dict[str, LockedBase] = msgspec.field(default_factory=dict)
    weaker: tuple[Weaker, ...] = ()
    policy: Changes = Changes()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every variant on every platform."""
        return tuple(Cell(v, p) for v in self.config.variants for p in self.config.platforms)

    def variant(self, name: str) -> Variant:
        """Look up a variant."""
        return self.config.variants[name]

    def cells_of(self, variant: str) -> tuple[Cell, ...]:
        """Every platform of one variant."""
        return tuple(c for c in self.cells if c.variant == variant)
