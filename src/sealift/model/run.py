"""The run folder: how stations speak to each other, and to whoever reads the release later."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from sealift.errors import UsageError
from sealift.model.codec import from_json, publish, to_json
from sealift.model.evidence import Evidence, Gate
from sealift.model.lock import one_at_a_time
from sealift.model.plan import Cell, Plan

E = TypeVar("E", bound=Evidence)


@dataclass(frozen=True)
class RunFolder:
    """``build/release/<version>/``: the plan, the evidence, and what was built."""

    root: Path

    @classmethod
    def open(cls, root: Path, plan: Plan) -> Self:
        """Return a plan's folder, below ``build/release`` of ``root``, and name it the latest.

        What another commit or a changed tree left in it is removed; what the same commit made stays.
        """
        releases = root / "build" / "release"
        run = cls(releases / str(plan.version))
        if run.root.exists() and not run._belongs_to(plan):
            # First, for what is half removed belongs to nobody.
            run.plan_file.unlink(missing_ok=True)
            shutil.rmtree(run.root)
        run.write_plan(plan)
        fresh = releases / f".latest.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(run.root.name)
        fresh.replace(releases / "latest")
        return run

    @classmethod
    @contextmanager
    def opened(cls, root: Path, plan: Plan) -> Iterator[Self]:
        """Open a plan's folder for this run alone: another commit's of the same version would empty it."""
        releases = root / "build" / "release"
        releases.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(
            releases / f".{plan.version}.lock",
            happened=f"another run is releasing {plan.version} in this checkout",
            means="two at once would undo each other's files",
            next_step="wait for it, or release another version: --version",
        ):
            yield cls.open(root, plan)

    @property
    def plan_file(self) -> Path:
        """The plan as JSON."""
        return self.root / "plan.json"

    def binary(self, cell: Cell, service: str) -> Path:
        """Where one cell's binary lies."""
        return self.dist(cell.variant) / cell.platform.os / cell.platform.arch / service

    def dist(self, variant: str) -> Path:
        """Every binary of one variant: the folder that the Dockerfile's last stage copies from."""
        return self.root / "dist" / variant

    @property
    def work(self) -> Path:
        """What is not finished yet; nothing in it outlives a run."""
        return self.root / "work"

    @property
    def images(self) -> Path:
        """The OCI layouts, one folder for each variant's repository."""
        return self.root / "images"

    def evidence_file(self, station: str, subject: str) -> Path:
        """One station's evidence about one subject."""
        return self.root / "evidence" / station / f"{subject.replace('/', '-')}.json"

    def write_plan(self, plan: Plan) -> None:
        """Publish the plan."""
        publish(self.plan_file, to_json(plan))

    def read_plan(self) -> Plan:
        """Read the plan, or say how to make it."""
        return from_json(self._bytes(self.plan_file, "sealift plan"), Plan, source=str(self.plan_file))

    def write(self, station: str, subject: str, evidence: Evidence) -> None:
        """Publish one station's evidence."""
        publish(self.evidence_file(station, subject), to_json(evidence))

    def refuse(self, station: str, subject: str, gates: tuple[Gate, ...]) -> None:
        """Publish what a gate refused; a station that passes later removes it."""
        publish(self._refusal(station, subject), to_json(Evidence(gates=gates)))

    def forget(self, station: str, subject: str) -> None:
        """Remove what an earlier run said, so that nothing stands on it."""
        self.evidence_file(station, subject).unlink(missing_ok=True)
        self._refusal(station, subject).unlink(missing_ok=True)

    def read(self, station: str, subject: str, kind: type[E]) -> E:
        """Read one station's evidence, or say which station makes it."""
        path = self.evidence_file(station, subject)
        return from_json(self._bytes(path, f"sealift {station}"), kind, source=str(path))

    def part(self, name: str, maker: str) -> dict[str, Any]:
        """Read JSON that evidence names by its path in this folder, or say which command makes it."""
        path = self.root / name
        return from_json(self._bytes(path, maker), dict[str, Any], source=str(path))

    def has(self, station: str, subject: str) -> bool:
        """Tell whether a station has passed."""
        return self.evidence_file(station, subject).exists()

    def _belongs_to(self, plan: Plan) -> bool:
        try:
            before = self.read_plan()
        except UsageError:
            return False
        # Another version's tag may have come in between. It changes what this one is compared with, not it.
        same = msgspec.structs.replace(before, policy=plan.policy) == plan
        # A changed tree has no name that would tell whether it is the same one.
        return same and not plan.modified

    def _refusal(self, station: str, subject: str) -> Path:
        return self.evidence_file(station, subject).with_suffix(".refused.json")

    def _bytes(self, path: Path, maker: str) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise UsageError(
                f"{path} is not there", means="an earlier station has not run", next_step=maker
            ) from error
