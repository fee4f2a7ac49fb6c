"""The run folder: how stations speak to each other, and to whoever reads the release later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sealift.errors import UsageError
from sealift.model.codec import from_json, publish, to_json
from sealift.model.evidence import Evidence
from sealift.model.plan import Cell, Plan

E = TypeVar("E", bound=Evidence)


@dataclass(frozen=True)
class RunFolder:
    """``build/release/<version>/``: the plan, the evidence, and what was built."""

    root: Path

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

    def read(self, station: str, subject: str, kind: type[E]) -> E:
        """Read one station's evidence, or say which station makes it."""
        path = self.evidence_file(station, subject)
        return from_json(self._bytes(path, f"sealift {station}"), kind, source=str(path))

    def _bytes(self, path: Path, maker: str) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise UsageError(
                f"{path} is not there", means="an earlier station has not run", next_step=maker
            ) from error
