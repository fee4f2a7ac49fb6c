"""Kill one release at one moment, look at what it left, and run it again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from tests.kills.finding import Traces
from tests.kills.left import GONE_SECONDS, OwnDesk
from tests.kills.moments import LINES, How, Moment
from tests.kills.processes import service_pid
from tests.rehearsal.playing import SEALIFT

PATIENCE = "--patience=3"
STATEMENTS = 24
# A second Ctrl-C comes while the first one is being obeyed.
_BETWEEN = 0.2


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one moment; ``met`` tells whether anything was killed.

    ``wrong`` is empty where everything held.
    """

    moment: Moment
    met: bool
    ended: int
    stood: str
    again: int
    made: int
    wrong: tuple[str, ...]


class Lines:
    """Counts the lines that a release says, and tells when it has said so many."""

    def __init__(self, stream: IO[str]) -> None:
        self.said: list[str] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(stream,), daemon=True)
        self._over = False
        self._thread.start()

    def wait(self, count: int) -> None:
        """Wait for so many lines, or for the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or len(self.said) >= count, timeout=600)

    def rest(self) -> str:
        """Return everything, after the end."""
        self._thread.join(GONE_SECONDS)
        return "".join(self.said)

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self.said.append(line)
                self._changed.notify_all()
        with self._changed:
            self._over = True
            self._changed.notify_all()


def play(moment: Moment, desk: OwnDesk, digests: Mapping[str, str]) -> Result:
    """Play one moment in a world of its own; ``digests`` is what each variant's image must be."""
    traces = Traces(desk, f"kill-{moment.number}")
    shutil.rmtree(desk.folder / "build" / "release", ignore_errors=True)
    try:
        ended, said, met = _killed(moment, desk, traces.world)
        wrong = [*_ended_badly(moment, ended, said), *desk.left()]
        stood = _stood(traces)
        wrong += _out_of_order(traces)
        again = desk.sealift("release", "--json", *_options(moment, traces.world))
        made = 0
        if again.status:
            wrong.append(f"again: {again.status}: {again.stderr[-1500:]}")
        else:
            report = json.loads(again.stdout)
            made = sum(entry["made"] for entry in report["signatures"])
            wrong += _unfinished(traces, report["images"], digests)
        wrong += [f"afterwards: {stray}" for stray in desk.left()]
    finally:
        shutil.rmtree(traces.folder, ignore_errors=True)
    return Result(
        moment=moment, met=met, ended=ended, stood=stood, again=again.status, made=made, wrong=tuple(wrong)
    )


def _options(moment: Moment, world: str) -> tuple[str, ...]:
    return PATIENCE, f"--world-name={world}", *moment.world.options


def _killed(moment: Moment, desk: OwnDesk, world: str) -> tuple[int, str, bool]:
    with subprocess.Popen(
        [*SEALIFT, "release", *_options(moment, world)],
        cwd=desk.folder,
        env={**os.environ, **desk.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as release:
        assert release.stderr is not None
        lines = Lines(release.stderr)
        try:
            lines.wait(moment.lines)
            time.sleep(moment.delay)
            met = _strike(moment, release)
            status = release.wait(GONE_SECONDS * 3)
        finally:
            release.kill()
        return status, lines.rest(), met


def _strike(moment: Moment, release: subprocess.Popen[str]) -> bool:
    """Kill, and tell whether there was anything to kill."""
    met = release.poll() is None
    if moment.service:
        pid = service_pid(release.pid, moment.service)
        # Services start beside the first nodes, so one of an early moment may be about to come.
        while pid is None and release.poll() is None:
            time.sleep(_BETWEEN)
            pid = service_pid(release.pid, moment.service)
        met = pid is not None
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if moment.how in (How.RELEASE, How.BOTH):
        release.kill()
    if moment.how is How.INTERRUPT:
        release.send_signal(signal.SIGINT)
        time.sleep(_BETWEEN)
        release.send_signal(signal.SIGINT)
    return met


def _ended_badly(moment: Moment, ended: int, said: str) -> list[str]:
    """Say what is wrong with how it ended; one that had ended before is not what was asked for."""
    allowed = {
        How.RELEASE: {-signal.SIGKILL},
        How.BOTH: {-signal.SIGKILL},
        How.INTERRUPT: {130},
        # It may not have needed the service any more.
        How.SERVICE: {0, 4},
    }[moment.how]
    wrong = []
    # Just before its own end a signal may come too late.
    late = {0} if moment.lines >= LINES - 1 else set()
    if ended not in allowed | late:
        wrong.append(f"it ended with {ended}: {said[-1500:]}")
    if "Traceback" in said:
        wrong.append(f"a traceback: {said[-1500:]}")
    if ended == 4 and "next:" not in said:
        wrong.append(f"no next command: {said[-800:]}")
    return wrong


def _stood(traces: Traces) -> str:
    """Say how far it had come."""
    if traces.published():
        return "published"
    if any(traces.tags().values()):
        return "version tags"
    count = traces.bundles()
    return f"{count} of {STATEMENTS} signed" if count else "nothing was out"


def _out_of_order(traces: Traces) -> list[str]:
    """Say what was out before its time: tags come after the signatures, and the moving ones last."""
    tags, wrong = traces.tags(), []
    if any(tags.values()) and traces.bundles() != STATEMENTS:
        wrong.append(f"tags {tags} with {traces.bundles()} of {STATEMENTS} signed")
    moving = {name: {t for t in of if t.count(".") < 2} for name, of in tags.items()}
    if any(moving.values()) and not traces.published():
        wrong.append(f"moving tags {moving} before the release was published")
    if traces.published() and not all(of - moving[name] for name, of in tags.items()):
        wrong.append(f"published with the version tags {tags}")
    return wrong


def _unfinished(
    traces: Traces, images: Mapping[str, Mapping[str, object]], digests: Mapping[str, str]
) -> list[str]:
    """Say what the second run should have brought about."""
    wrong = []
    got = {name: image["digest"] for name, image in images.items()}
    if got != digests:
        wrong.append(f"other digests: {got}")
    if (count := traces.bundles()) != STATEMENTS:
        wrong.append(f"{count} bundles are attached, not {STATEMENTS}")
    if len(traces.published()) != 1:
        wrong.append(f"published: {traces.published()}")
    if any(len(of) != 4 for of in traces.tags().values()) or len(traces.tags()) != len(digests):
        wrong.append(f"tags: {traces.tags()}")
    return wrong
