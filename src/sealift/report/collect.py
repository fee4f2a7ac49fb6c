"""Gather a run folder's evidence into the one value that every rendering shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from sealift.errors import UsageError
from sealift.model.codec import from_json, read_file, to_json
from sealift.model.config import Strict
from sealift.model.evidence import (
    Built,
    BuiltPlatform,
    Drafted,
    Evidence,
    Gate,
    Promoted,
    SignedAll,
    SignedEntry,
)
from sealift.model.names import Digest, Repository, Tag, Version
from sealift.model.policy import Changes, Weaker
from sealift.model.run import RunFolder
from sealift.model.world import World

E = TypeVar("E", bound=Evidence)


class ReportedImage(Strict, frozen=True, kw_only=True):
    """One variant as it can be pulled."""

    repository: Repository
    digest: Digest
    tags: tuple[Tag, ...]
    platforms: dict[str, BuiltPlatform]


class Program(Strict, frozen=True, kw_only=True):
    """One program that did the work: where it came from and its hash."""

    name: str
    version: str
    origin: str
    sha256: str
    locked: bool
    note: str = ""


class Made(Strict, frozen=True, kw_only=True):
    """What this run has added outside: counts, and whether it published the release."""

    signatures: int = 0
    assets: int = 0
    tags: int = 0
    published: bool = False

    def __bool__(self) -> bool:
        """Tell whether there was anything to add."""
        return bool(self.signatures or self.assets or self.tags or self.published)


class Report(Strict, frozen=True, kw_only=True):
    """``report.json``: what was released, what was looked at, and what was signed."""

    version: Version
    commit: str
    world: Literal["rehearsal", "production"]
    outcome: str
    stand_ins: tuple[str, ...]
    cannot_show: tuple[str, ...]
    exceptions: tuple[str, ...]
    weaker: tuple[Weaker, ...] = ()
    policy: Changes = Changes()
    left_out: tuple[str, ...]
    images: dict[str, ReportedImage]
    gates: tuple[Gate, ...]
    signatures: tuple[SignedEntry, ...]
    programs: tuple[Program, ...]
    release_url: str
    seconds: float
    made: Made = Made()


class _WithGates(msgspec.Struct, frozen=True):
    gates: tuple[Gate, ...] = ()


def collect(
    run: RunFolder,
    world: World,
    *,
    outcome: str,
    exceptions: tuple[str, ...],
    programs: tuple[Program, ...],
    seconds: float,
) -> Report:
    """Read every piece of evidence of a run, refusals too."""
    plan = run.read_plan()
    promoted = _maybe(run, "promote", str(plan.version), Promoted)
    signed = _maybe(run, "sign", str(plan.version), SignedAll)
    images = {}
    for name, variant in plan.config.variants.items():
        built = _maybe(run, "image", name, Built)
        if built is not None:
            repository = world.repository(variant.repository)
            images[name] = ReportedImage(
                repository=repository,
                digest=built.digest,
                tags=promoted.tags.get(repository, ()) if promoted else (),
                platforms=built.platforms,
            )
    return Report(
        version=plan.version,
        commit=plan.commit,
        world=world.name,
        outcome=outcome,
        stand_ins=world.stand_ins,
        cannot_show=world.cannot_show + _limitations(run),
        exceptions=exceptions,
        weaker=plan.weaker,
        policy=plan.policy,
        left_out=plan.left_out,
        images=images,
        gates=tuple(gates(run)),
        signatures=signed.entries if signed else (),
        made=_made(signed, _maybe(run, "draft", str(plan.version), Drafted), promoted),
        programs=programs,
        release_url=promoted.release_url if promoted else "",
        seconds=round(seconds, 3),
    )


def _made(signed: SignedAll | None, drafted: Drafted | None, promoted: Promoted | None) -> Made:
    return Made(
        signatures=sum(entry.made for entry in signed.entries) if signed else 0,
        assets=len(drafted.uploaded) if drafted else 0,
        tags=len(promoted.put) if promoted else 0,
        published=promoted.published if promoted else False,
    )


class _WithLimitations(msgspec.Struct, frozen=True):
    limitations: tuple[str, ...] = ()


def _limitations(run: RunFolder) -> tuple[str, ...]:
    """Return what the gates could not see, once for all the cells that have it in common."""
    stages = ("evidence/compile/", "evidence/prove/")
    said = ((name, raw) for name, raw in run.said() if name.startswith(stages))
    found = (from_json(raw, _WithLimitations, source=name).limitations for name, raw in said)
    return tuple(dict.fromkeys(line for lines in found for line in lines))


def gates(run: RunFolder) -> Iterator[Gate]:
    """Yield everything that was looked at, station by station."""
    for name, raw in run.said():
        yield from from_json(raw, _WithGates, source=name).gates


def read(path: Path) -> Report:
    """Read a report.json again."""
    try:
        return from_json(read_file(path), Report, source=str(path))
    except FileNotFoundError as error:
        raise UsageError(f"{path} is not there", next_step="sealift release") from error


def as_json(report: Report) -> bytes:
    """Write the report for machines."""
    return to_json(report)


def _maybe(run: RunFolder, station: str, subject: str, kind: type[E]) -> E | None:
    return run.read(station, subject, kind) if run.has(station, subject) else None
