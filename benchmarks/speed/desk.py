"""A clone of this checkout to release from, and its command line with a clock and a look at its memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.speed import chain
from benchmarks.speed.machine import RESULTS, ROOT
from sealift.errors import OutsideError
from sealift.model import bases
from sealift.model.codec import from_json
from sealift.model.plan import Plan
from sealift.process import high_water
from sealift.tools import git

Argv = Sequence[str | os.PathLike[str]]
LOOK_EVERY = 0.02
_TAIL = 2000
_SOMEBODY = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.test")
# They would make every Python slower than a user's.
_NOT_PASSED = ("COVERAGE_PROCESS_START", "PYTHONPROFILEIMPORTTIME")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One command: its wall time, and the greatest memory of its own process (not of its children)."""

    seconds: float
    peak_mb: float
    stdout: str


@dataclass(frozen=True, kw_only=True)
class Released:
    """One release that went through: the whole command, and the line inside it."""

    ran: Ran
    plan: Plan
    nodes: tuple[chain.Timed, ...]

    @property
    def wall(self) -> float:
        """The line's own seconds, once the source is cloned; the services start meanwhile."""
        return chain.wall(self.nodes)

    @property
    def longest(self) -> tuple[chain.Timed, ...]:
        """Its longest chain of node durations."""
        return chain.longest(self.nodes, chain.needs_of(self.plan))


@dataclass(frozen=True)
class Desk:
    """One clone; its worlds and releases stay inside it."""

    folder: Path

    @classmethod
    def set_up(cls, name: str) -> Desk:
        """Clone HEAD afresh below ``build/bench``; no base is locked, for the script has equals."""
        folder = RESULTS / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        git.git(ROOT, "clone", "--quiet", "--no-tags", str(ROOT), str(folder))
        desk, lock = cls(folder), folder / "ci" / "bases.lock.yaml"
        if bases.load(lock):
            bases.save(lock, {})
            desk.git("commit", "--quiet", "--all", "--message=Lock no base")
        return desk

    def git(self, *words: str) -> str:
        """Run git here, as somebody with a name."""
        return git.git(self.folder, *_SOMEBODY, *words)

    def sealift(self, *words: str) -> Ran:
        """Run a verb here."""
        return self.python("sealift", *words, log=f"sealift-{words[0]}")

    def python(self, module: str, *words: str, log: str) -> Ran:
        """Run one of this clone's own modules: what is measured is the commit, also while somebody edits."""
        env = {**os.environ, "PYTHONPATH": f"{self.folder / 'src'}{os.pathsep}{self.folder}"}
        return timed([sys.executable, "-m", module, *words], cwd=self.folder, log=log, env=env)

    def release(self, world: str, *words: str) -> Released:
        """Release in the world of this name; with ``--keep`` its services stay up."""
        ran = self.sealift("release", "--world-name", world, *words)
        latest = self.folder / "build" / "release" / "latest"
        plan = from_json((latest / "plan.json").read_bytes(), Plan, source="plan.json")
        return Released(ran=ran, plan=plan, nodes=chain.read(latest / "timeline.json"))

    @contextmanager
    def world(self, name: str) -> Iterator[Path]:
        """Give the folder of a world that is not there yet; its services and files go afterwards."""
        forget = ("rehearse", "reset", "--world-name", name)
        self.sealift(*forget)
        try:
            yield self.folder / "build" / "rehearsal" / name
        finally:
            self.sealift(*forget)

    def stop(self, world: str) -> None:
        """End the services that a release left up."""
        self.sealift("rehearse", "stop", "--world-name", world)

    def environment(self, world: str) -> dict[str, str]:
        """Return what ``rehearse env`` tells a stranger."""
        told = self.sealift("rehearse", "env", "--json", "--world-name", world).stdout
        return msgspec.json.decode(told, type=dict[str, str])


def timed(argv: Argv, *, cwd: Path, log: str, env: Mapping[str, str] | None = None) -> Ran:
    """Run a command that must succeed; what it says goes to ``build/bench/logs``."""
    logs = RESULTS / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    ours = {k: v for k, v in (os.environ if env is None else env).items() if k not in _NOT_PASSED}
    out, err = logs / f"{log}.out", logs / f"{log}.err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        begin = time.monotonic()
        child = subprocess.Popen(argv, cwd=cwd, env=ours, stdout=stdout, stderr=stderr)
        peak = _Peak(child.pid)
        try:
            status = child.wait()
        except BaseException:
            # It hears the same Ctrl-C, and ends its services first.
            child.wait()
            raise
        finally:
            seconds = time.monotonic() - begin
            peak.join()
    if status != 0:
        said = err.read_text("utf-8", errors="replace")[-_TAIL:]
        raise OutsideError(
            f"{' '.join(map(str, argv))} ended with status {status}\n{said}",
            means="what fails is not measured",
            next_step=f"less {err}",
        )
    return Ran(seconds=seconds, peak_mb=peak.mb, stdout=out.read_text("utf-8"))


class _Peak(threading.Thread):
    """Looks at VmHWM of a process until it is gone: wait4 would tell its children's as well."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.mb = 0.0
        self._pid = pid
        self.start()

    def run(self) -> None:
        while peak := high_water(self._pid):
            self.mb = peak / 1e6
            time.sleep(LOOK_EVERY)
