"""One rehearsal behind proxies, up to the station that a case is about: each case costs seconds.

with standing(folder) as stand:
    line = stand.line("sign")
    with stand.proxies["rekor1"].failing(fault) as met:
        ran = play(line, "sign")
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from sealift import process
from sealift.commands.opening import Asked, Opened, opened
from sealift.errors import DefectError, SealiftError
from sealift.line import GATES_BEFORE_PUSH, STATIONS, Line
from sealift.model.evidence import Drafted
from sealift.model.plan import Plan
from sealift.model.run import RunFolder
from sealift.rehearsal.world import Stage
from sealift.schedule import Schedule
from sealift.stations.assets import assets as gather
from sealift.stations.draft import DraftState
from sealift.stations.verify import Verified
from sealift.tools import git
from sealift.tools.sbom import _renamed as renamed_in
from tests.conftest import ROOT
from tests.faults import found
from tests.faults.between import Between, standing_between
from tests.faults.outside import USUAL
from tests.faults.proxy import Proxy
from tests.relinked import copied, relink

BEFORE_PUSH = ("base", "compile", "prove", "image", *GATES_BEFORE_PUSH)
WORKERS = 2 * (os.cpu_count() or 2)
# Long enough for every fault that passes, and for what one asks for with Retry-After.
ENOUGH = 30.0


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How some stations ended: the exit code (0: well), the error, what was told, and the seconds it took."""

    code: int
    error: SealiftError | None
    told: str
    seconds: float


@dataclass(kw_only=True)
class Stand:
    """A release that is ready to be pushed, and one that is signed."""

    release: Opened
    stage: Stage
    proxies: Mapping[str, Proxy]
    folder: Path
    signed: Line = field(init=False)
    verified: Verified = field(init=False)
    numbers: Iterator[int] = field(default_factory=itertools.count, init=False)
    drafts: dict[tuple[str, ...], tuple[Path, DraftState, Drafted]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Sign one release, for all the cases that begin after that."""
        self.signed = self._fresh(patience=ENOUGH)
        _well(self.signed, ("push", "sign", "verify"))
        assert self.signed.verified is not None
        self.verified = self.signed.verified

    @property
    def registry(self) -> found.Behind:
        """The registry past its proxy."""
        return found.Behind(self.proxies["registry"])

    @property
    def github(self) -> Path:
        """GitHub's folder."""
        return self.stage.folder / "github"

    def overheard(self) -> str:
        """Read what Fulcio says to itself: it alone knows what the certificate log did to it."""
        log = self.stage.sigstore.folder / "logs" / "fulcio.log"
        return log.read_text(encoding="utf-8", errors="replace")

    def line(self, station: str, *, patience: float, variants: Collection[str] = ()) -> Line:
        """Give a release that has come to a station, in an outside where nobody has done its work yet.

        With ``variants`` it is of these alone.
        """
        if station in ("verify", "draft", "promote"):
            return self._signed(station, patience=patience, variants=variants)
        found.forget_releases(self.github)
        line = self._fresh(patience=patience, variants=variants)
        if station == "sign":
            _well(line, ("push",))
        if station == "image":
            shutil.rmtree(line.run.root / "images")
        return line

    def again(self, line: Line) -> Line:
        """Give the same release to another process with more patience; what was verified counts there."""
        other = with_patience(line, ENOUGH)
        other.verified = line.verified
        return other

    def _signed(self, station: str, *, patience: float, variants: Collection[str]) -> Line:
        for repository, _ in found.images(self.signed).values():
            self.registry.untag(repository)
        plan = _of(self.signed.plan, variants)
        line = replace(with_patience(self.signed, patience), plan=plan, run=self._folder(self.signed))
        relink(line)
        if station == "promote":
            line.verified, line.state = self.verified, self._drafted(line)
        else:
            found.forget_releases(self.github)
        return line

    def _drafted(self, line: Line) -> DraftState:
        """Have GitHub know of the draft alone, which is made once."""
        key = tuple(line.plan.config.variants)
        if key not in self.drafts:
            found.forget_releases(self.github)
            _well(line, ("draft",))
            assert line.state is not None
            kept = self.folder / f"draft-{len(self.drafts)}"
            shutil.copytree(self.github, kept)
            self.drafts[key] = kept, line.state, line.run.read("draft", str(line.plan.version), Drafted)
        kept, state, drafted = self.drafts[key]
        found.restore_releases(kept, self.github)
        gather(line.plan, line._lists(), line.run)
        line.run.write("draft", str(line.plan.version), drafted)
        relink(line)
        # Another process has written it.
        line.run._published.clear()
        return state

    def _fresh(self, *, patience: float, variants: Collection[str] = ()) -> Line:
        """Name the images as nobody has named any: their digests stay, and nothing is known of them."""
        line, number = self.release.line, next(self.numbers)
        plan = _of(line.plan, variants)
        renamed = {
            name: msgspec.structs.replace(variant, repository=f"case-{number}/{variant.repository}")
            for name, variant in plan.config.variants.items()
        }
        plan = msgspec.structs.replace(plan, config=msgspec.structs.replace(plan.config, variants=renamed))
        fresh = replace(with_patience(line, patience), plan=plan, run=self._folder(line))
        rename_images(line, fresh)
        return fresh

    def _folder(self, line: Line) -> RunFolder:
        """Make a run folder of its own: it shares what was built, and what is said is its own."""
        run = copied(line.run, self.folder / f"run-{next(self.numbers)}")
        run.work.mkdir(parents=True)
        return run


def rename_images(line: Line, other: Line) -> None:
    """Have lists and scans of a release name the images as another one ships them."""
    for cell in other.plan.cells:
        old, new = (x.world.repository(x.plan.variant(cell.variant).repository) for x in (line, other))
        for part in other.run.root.glob(f"*/{cell.slug}.*"):
            part.write_text(renamed_in(part.read_text(encoding="utf-8"), {old: new}), encoding="utf-8")
    relink(other)


@contextlib.contextmanager
def standing(folder: Path, asked: Asked = USUAL) -> Iterator[Stand]:
    """Rehearse HEAD in a clone below ``folder``, with a proxy before every service."""
    clone = folder / "clone"
    git.clone(ROOT, git.head(ROOT), clone)
    with contextlib.ExitStack() as stack:
        with contextlib.chdir(clone), standing_between():
            release = stack.enter_context(opened(asked, STATIONS))
        # It would be the words that the tests were started with.
        release.line.again = "sealift release"
        stage = release.stage
        assert stage is not None
        assert isinstance(stage.supervised, Between)
        _well(release.line, BEFORE_PUSH)
        yield Stand(release=release, stage=stage, proxies=stage.supervised.proxies, folder=folder)


def _of(plan: Plan, variants: Collection[str]) -> Plan:
    """Return the plan of some variants, or of all."""
    wanted = {n: v for n, v in plan.config.variants.items() if not variants or n in variants}
    return msgspec.structs.replace(plan, config=msgspec.structs.replace(plan.config, variants=wanted))


def with_patience(line: Line, seconds: float) -> Line:
    """Return the same line with another budget."""
    return replace(line, world=replace(line.world, patience_seconds=seconds))


def play(line: Line, stations: Collection[str]) -> Ran:
    """Run some stations to their end, however they end."""
    nodes, told, began = line.nodes(stations), io.StringIO(), time.monotonic()
    error: SealiftError | None = None
    for node in nodes:
        line.run.forget(node.station, node.subject)
    try:
        with contextlib.redirect_stderr(told):
            Schedule(nodes, workers=WORKERS).run()
    except SealiftError as one:
        error = one
    except Exception as defect:  # noqa: BLE001 - a command would end with a traceback: that is a result
        error = DefectError(f"{type(defect).__name__}: {defect}")
        process._ending.clear()
    return Ran(
        code=error.exit_code if error else 0,
        error=error,
        told=told.getvalue(),
        seconds=time.monotonic() - began,
    )


def _well(line: Line, stations: Collection[str]) -> None:
    ran = play(line, stations)
    assert ran.error is None, f"{ran.error}\n{ran.told}"
