"""The run folder: how stations speak to each other, and to whoever reads the release later."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from sealift.errors import RefusedError, UsageError
from sealift.model.beneath import Beneath
from sealift.model.codec import from_json, to_json
from sealift.model.evidence import Evidence, File, Gate
from sealift.model.lock import one_at_a_time
from sealift.model.names import Digest, RunPath
from sealift.model.plan import Cell, Plan

E = TypeVar("E", bound=Evidence)
T = TypeVar("T")
PLAN = RunPath("plan.json")


@dataclass(frozen=True)
class RunFolder:
    """``build/release/<version>/``: the plan, the evidence, and what was built.

    Files in it may be another job's: no link in it is followed, and what this process has published itself
    must be as it was published.
    """

    root: Path
    _published: dict[str, Digest] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, root: Path, plan: Plan, *, sealed: bool = False) -> Self:
        """Return a plan's folder, below ``build/release`` of ``root``, and name it the latest.

        What another commit or a changed tree left in it is removed; what the same commit made stays. In a
        ``sealed`` folder the plan's file stays as it is, too: the seal is also of it, and another version's
        tag may have come since.
        """
        releases = root / "build" / "release"
        run = cls(releases / str(plan.version))
        if run.root.is_symlink():
            raise UsageError(
                f"{run.root} is a link",
                means="the release would be made of what others may write; build itself may be a link",
                next_step="remove the link and release again",
            )
        if run.root.exists():
            run._clear_work()
            run._files.check()
            if not run._belongs_to(plan):
                # First, for what is half removed belongs to nobody.
                run.plan_file.unlink(missing_ok=True)
                shutil.rmtree(run.root)
        if not (sealed and run.exists(PLAN)):
            run.write_plan(plan)
        fresh = releases / f".latest.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(run.root.name)
        fresh.replace(releases / "latest")
        return run

    @classmethod
    @contextmanager
    def opened(cls, root: Path, plan: Plan, *, sealed: bool = False) -> Iterator[Self]:
        """Open a plan's folder for this run alone: another commit's of the same version would empty it."""
        releases = root / "build" / "release"
        releases.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(
            releases / f".{plan.version}.lock",
            happened=f"another run is releasing {plan.version} in this checkout",
            means="two at once would undo each other's files",
            next_step="wait for it, or release another version: --version",
        ):
            yield cls.open(root, plan, sealed=sealed)

    @property
    def plan_file(self) -> Path:
        """The plan as JSON."""
        return self.root / PLAN

    @property
    def _files(self) -> Beneath:
        return Beneath(self.root)

    @staticmethod
    def binary(cell: Cell, service: str) -> RunPath:
        """Name one cell's binary by its path in this folder."""
        return RunPath(f"dist/{cell.variant}/{cell.platform.os}/{cell.platform.arch}/{service}")

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

    @staticmethod
    def evidence_name(station: str, subject: str) -> RunPath:
        """Name one station's evidence about one subject by its path in this folder."""
        return RunPath(f"evidence/{station}/{subject.replace('/', '-')}.json")

    def evidence_file(self, station: str, subject: str) -> Path:
        """One station's evidence about one subject."""
        return self.root / self.evidence_name(station, subject)

    def write_plan(self, plan: Plan) -> None:
        """Publish the plan."""
        self.publish(PLAN, to_json(plan))

    def read_plan(self) -> Plan:
        """Read the plan, or say how to make it."""
        return self._value(PLAN, "sealift plan", Plan)

    def write(self, station: str, subject: str, evidence: Evidence, made_from: tuple[File, ...] = ()) -> None:
        """Publish one station's evidence, with the hashes of what it was made from."""
        linked = msgspec.structs.replace(evidence, made_from=made_from)
        self.publish(self.evidence_name(station, subject), to_json(linked))

    def refuse(self, station: str, subject: str, gates: tuple[Gate, ...]) -> None:
        """Publish what a gate refused; a station that passes later removes it."""
        self.publish(self._refusal(station, subject), to_json(Evidence(gates=gates)))

    def refused(self, station: str, subject: str) -> bool:
        """Tell whether a gate refused when it looked last."""
        return self.exists(self._refusal(station, subject))

    def forget(self, station: str, subject: str) -> None:
        """Remove what an earlier run said, so that nothing stands on it."""
        for name in (self.evidence_name(station, subject), self._refusal(station, subject)):
            self._files.remove(name)
            self._published.pop(name, None)

    def read(self, station: str, subject: str, kind: type[E]) -> E:
        """Read one station's evidence, or say which station makes it."""
        return self._value(self.evidence_name(station, subject), f"sealift {station}", kind)

    def part(self, name: RunPath, maker: str) -> dict[str, Any]:
        """Read JSON that evidence names by its path in this folder, or say which command makes it."""
        return self._value(name, maker, dict[str, Any])

    def has(self, station: str, subject: str) -> bool:
        """Tell whether a station has passed."""
        return self.exists(self.evidence_name(station, subject))

    def exists(self, name: RunPath) -> bool:
        """Tell whether there is such a file."""
        return self._files.exists(name)

    def said(self) -> Iterator[tuple[RunPath, bytes]]:
        """Yield all evidence, refusals too, by its path in this folder."""
        for station in self._files.names(RunPath("evidence")):
            for name in self._files.names(RunPath(f"evidence/{station}")):
                if name.endswith(".json"):
                    path = RunPath(f"evidence/{station}/{name}")
                    yield path, self.bytes_of(path, f"sealift {station}")

    def publish(self, name: RunPath, data: bytes) -> File:
        """Write a file of this folder by rename; return its name and hash."""
        self._files.publish(name, data)
        self._published[name] = Digest.of(data)
        return File(path=name, sha256=self._published[name])

    def take(self, unfinished: Path, name: RunPath) -> Path:
        """Move a finished file or folder to its place; what stood there is removed."""
        return self._files.take(unfinished, name)

    def file(self, name: RunPath, maker: str) -> Path:
        """Return the path of a file for a program that opens it, or say which command makes it."""
        with _made_by(self.root / name, maker):
            return self._files.file(name)

    def folder(self, name: RunPath, maker: str) -> Path:
        """Return the path of a folder, a layout, that holds plain files alone."""
        with _made_by(self.root / name, maker):
            return self._files.folder(name)

    def digest(self, name: RunPath, maker: str) -> Digest:
        """Hash a file, or say which command makes it."""
        with _made_by(self.root / name, maker):
            found = self._files.digest(name)
        return self._as_published(name, found)

    def bytes_of(self, name: RunPath, maker: str) -> bytes:
        """Read a file, or say which command makes it."""
        with _made_by(self.root / name, maker):
            data = self._files.read(name)
        if name in self._published:
            self._as_published(name, Digest.of(data))
        return data

    def _as_published(self, name: RunPath, found: Digest) -> Digest:
        if (ours := self._published.get(name, found)) != found:
            raise RefusedError(
                f"{self.root / name} was changed since this run wrote it: expected {ours}, got {found}",
                means="another program writes into the run folder",
                next_step="find out which, and release again",
            )
        return found

    def _belongs_to(self, plan: Plan) -> bool:
        try:
            before = self.read_plan()
        except UsageError:
            return False
        # Another version's tag may have come in between. It changes what this one is compared with, not it.
        same = msgspec.structs.replace(before, policy=plan.policy) == plan
        # A changed tree has no name that would tell whether it is the same one.
        return same and not plan.modified

    def _clear_work(self) -> None:
        """Remove what a run that was killed has left; a clone of the source may hold links of its own."""
        if self.work.is_symlink():
            self.work.unlink()
        elif self.work.exists():
            shutil.rmtree(self.work, ignore_errors=True)

    def _refusal(self, station: str, subject: str) -> RunPath:
        return RunPath(f"{self.evidence_name(station, subject).removesuffix('.json')}.refused.json")

    def _value(self, name: RunPath, maker: str, kind: type[T]) -> T:
        try:
            return from_json(self.bytes_of(name, maker), kind, source=str(self.root / name))
        except UsageError as error:
            # Another version of sealift may have written it, or nobody that we know.
            error.next_step = error.next_step or maker
            raise


@contextmanager
def _made_by(path: Path, maker: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} is not there", means="an earlier station has not run", next_step=maker
        ) from error
