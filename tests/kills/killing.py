"""Kill one release at one moment, look at what it left, and run it again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.kills.finding import Traces
from tests.kills.left import GONE_SECONDS, OwnDesk
from tests.kills.moments import AfterLines, How, Moment, WhileRuns
from tests.kills.processes import runs_below, service_pid
from tests.kills.stages import Out, Stage, When, out_of_order, told
from tests.kills.watching import Lines, wait_until
from tests.rehearsal.playing import SEALIFT

PATIENCE = "--patience=3"
# Each release of this repository has this outside, and some assets.
_WHOLE = {
    Stage.IMAGES: 2,
    Stage.SIGNATURES: 24,
    Stage.VERSION_TAGS: 2,
    Stage.PUBLISHED: 1,
    Stage.MOVING_TAGS: 6,
}
# A second Ctrl-C comes while the first one is being obeyed.
_BETWEEN = 0.2
# A window may be over before anybody looks: then the release is played from its start.
TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A release that nobody disturbed: the digest of each variant's image, and all that is outside."""

    digests: Mapping[str, str]
    whole: Out


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of one moment; ``met`` tells whether it came when it should, and anything was killed.

    ``wrong`` is empty where everything held.
    """

    moment: Moment
    met: bool
    ended: int
    stood: str
    again: int
    made: int
    wrong: tuple[str, ...]


def reference(desk: OwnDesk) -> Reference:
    """Play one release to its end."""
    said = desk.sealift("release", "--json", "--world-name=reference")
    if said.status:
        raise SystemExit(said.stderr)
    digests = {name: image["digest"] for name, image in json.loads(said.stdout)["images"].items()}
    whole = Traces(desk, "reference").out(frozenset(digests.values()))
    if whole != {**whole, **_WHOLE} or not whole[Stage.ASSETS]:
        raise SystemExit(f"a release that nobody disturbed left {whole} outside")
    return Reference(digests=digests, whole=whole)


def play(moment: Moment, desk: OwnDesk, whole: Reference) -> Result:
    """Play one moment in a world of its own; one that missed what it waited for is played again."""
    result = _played(moment, desk, whole)
    for _ in range(TRIES - 1):
        if result.met or result.wrong:
            break
        result = _played(moment, desk, whole)
    return result


def _played(moment: Moment, desk: OwnDesk, whole: Reference) -> Result:
    traces, digests = Traces(desk, f"kill-{moment.number}"), frozenset(whole.digests.values())
    shutil.rmtree(desk.folder / "build" / "release", ignore_errors=True)
    try:
        ended, said, met = _killed(moment, desk, traces, digests)
        left = desk.left()
        out = traces.out(digests)
        met = met and _was_met(moment, ended, out, whole.whole)
        wrong = [*_ended_badly(moment, ended, said, met=met), *left]
        wrong += out_of_order(out, whole.whole)
        again = desk.sealift("release", "--json", *_options(moment, traces.world))
        made = 0
        if again.status:
            wrong.append(f"again: {again.status}: {again.stderr[-1500:]}")
        else:
            report = json.loads(again.stdout)
            made = sum(entry["made"] for entry in report["signatures"])
            wrong += _unfinished(traces, report["images"], whole)
        wrong += [f"afterwards: {stray}" for stray in desk.left()]
    finally:
        shutil.rmtree(traces.folder, ignore_errors=True)
    return Result(
        moment=moment,
        met=met,
        ended=ended,
        stood=told(out, whole.whole),
        again=again.status,
        made=made,
        wrong=tuple(wrong),
    )


def _options(moment: Moment, world: str) -> tuple[str, ...]:
    return PATIENCE, f"--world-name={world}", *moment.world.options


def _killed(moment: Moment, desk: OwnDesk, traces: Traces, digests: frozenset[str]) -> tuple[int, str, bool]:
    with subprocess.Popen(
        [*SEALIFT, "release", *_options(moment, traces.world)],
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
            victim, came = _waited(moment.when, moment.service, release, lines, traces, digests)
            met = _strike(moment, release, victim) and came
            status = release.wait(GONE_SECONDS * 3)
        finally:
            release.kill()
        return status, lines.rest(), met


def _waited(
    when: AfterLines | When | WhileRuns,
    service: str,
    release: subprocess.Popen[str],
    lines: Lines,
    traces: Traces,
    digests: frozenset[str],
) -> tuple[int | None, bool]:
    """Wait for the moment; return the process of the service that is to be killed, and whether it came."""
    if isinstance(when, AfterLines):
        lines.wait(when.lines)
        time.sleep(when.delay)
        return _service(service, release), True
    # To look for it takes longer than some windows are open.
    victim = _service(service, release)

    def over() -> bool:
        return release.poll() is not None

    if isinstance(when, WhileRuns):
        came = wait_until(lambda: runs_below(release.pid, when.words), 1, over=over)
    else:
        came = wait_until(lambda: traces.count(when.stage, digests), when.count, over=over)
    return victim, came


def _service(name: str, release: subprocess.Popen[str]) -> int | None:
    """Find a service: they start beside the first nodes, so one of an early moment may be about to come."""
    if not name:
        return None
    pid = service_pid(release.pid, name)
    while pid is None and release.poll() is None:
        time.sleep(_BETWEEN)
        pid = service_pid(release.pid, name)
    return pid


def _strike(moment: Moment, release: subprocess.Popen[str], victim: int | None) -> bool:
    """Kill, and tell whether there was anything to kill."""
    met = victim is not None if moment.service else release.poll() is None
    if victim is not None:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    if moment.how in (How.RELEASE, How.BOTH):
        release.kill()
    if moment.how is How.INTERRUPT:
        release.send_signal(signal.SIGINT)
        time.sleep(_BETWEEN)
        release.send_signal(signal.SIGINT)
    return met


def _was_met(moment: Moment, ended: int, out: Out, whole: Out) -> bool:
    """Tell whether it stood where the moment wanted it; a service that was killed there was needed there."""
    if isinstance(moment.when, AfterLines):
        return True
    there = isinstance(moment.when, WhileRuns) or moment.when.was_met(out, whole)
    return there and ended != 0


def _ended_badly(moment: Moment, ended: int, said: str, *, met: bool) -> list[str]:
    """Say what is wrong with how it ended."""
    allowed = {
        How.RELEASE: {-signal.SIGKILL},
        How.BOTH: {-signal.SIGKILL},
        How.INTERRUPT: {130},
        # It may not have needed the service any more.
        How.SERVICE: {0, 4},
    }[moment.how]
    wrong = []
    # Just before its own end a signal may come too late.
    is_last = isinstance(moment.when, AfterLines) and moment.when.is_last
    late = {0} if is_last or not met else set()
    if ended not in allowed | late:
        wrong.append(f"it ended with {ended}: {said[-1500:]}")
    if "Traceback" in said:
        wrong.append(f"a traceback: {said[-1500:]}")
    if ended == 4 and "next:" not in said:
        wrong.append(f"no next command: {said[-800:]}")
    return wrong


def _unfinished(traces: Traces, images: Mapping[str, Mapping[str, str]], whole: Reference) -> list[str]:
    """Say what the second run should have brought about."""
    wrong = []
    got = {name: image["digest"] for name, image in images.items()}
    if got != whole.digests:
        wrong.append(f"other digests: {got}")
    if (out := traces.out(frozenset(got.values()))) != whole.whole:
        wrong.append(f"not everything is out: {told(out, whole.whole)}")
    return wrong
