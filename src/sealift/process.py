"""Every external program is started here: resolved, timed, measured, and killed when we end.

Output goes to files, never through pipes, so no program can fill one and hang.
"""

from __future__ import annotations

import contextvars
import hashlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sealift.environment import environment_of, search_path
from sealift.errors import InterruptedReleaseError, MissingProgramError, OutsideError, RefusedError

# Of util-linux, which every Debian has.
SETPRIV = "/usr/bin/setpriv"
TAIL = 4000
# Bytes that a program may print: files of a commit are printed, too.
MOST_PRINTED = 256 << 20
# Milliseconds between two looks at a running program's memory.
SHORTEST_LOOK, LONGEST_LOOK = 2, 64
# Seconds of a wait after which it is asked whether it is in vain.
_ASK_EVERY = 1.0
KILL_AFTER = 3.0


@dataclass(frozen=True, kw_only=True)
class Completed:
    """What a program said: its exit status and both streams, decoded as UTF-8."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One program's run: monotonic start and end in seconds, CPU seconds, peak memory in bytes.

    The peak is that of the greatest of the program and its children, or, where that is below our own, of the
    program alone, as often as it was looked at.
    """

    argv0: str
    start: float
    end: float
    cpu_seconds: float
    max_rss_bytes: int


@dataclass
class Recorder:
    """Collects the programs that one node of the line ran."""

    runs: list[Ran] = field(default_factory=list)


_recorder: contextvars.ContextVar[Recorder | None] = contextvars.ContextVar("recorder", default=None)
_running: dict[int, subprocess.Popen[bytes]] = {}
_lock = threading.Lock()
_ending = threading.Event()


class OpenProgram:
    """A program's file, held open: what was hashed is what starts, whatever its path leads to by now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.sha256 = self._hash()

    def __del__(self) -> None:
        # An opening that failed has none.
        if (descriptor := getattr(self, "descriptor", None)) is not None:
            os.close(descriptor)

    @property
    def link(self) -> str:
        """A path to this very file while we live; our children may follow it, and no other user."""
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    def check(self) -> None:
        """Raise RefusedError where the file was written to since it was hashed."""
        if self._state() == self._seen or self._hash() == self.sha256:
            return
        raise RefusedError(
            f"the program {self.path} was changed while this run uses it",
            means="it is not the one that was hashed, so it was not started",
            next_step="run again: it is built anew",
        )

    def _hash(self) -> str:
        self._seen = self._state()
        with open(self.descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _state(self) -> tuple[int, ...]:
        # Nobody but root can set the second time back.
        found = os.fstat(self.descriptor)
        return found.st_size, found.st_mtime_ns, found.st_ctime_ns


# The programs that were hashed, by the link that PATH leads to.
_open_programs: dict[str, OpenProgram] = {}


def link_programs(programs: Iterable[OpenProgram], folder: Path) -> None:
    """Put a link to each open program into a folder; each is compared before it starts."""
    for program in programs:
        link = folder / program.path.name
        link.symlink_to(program.link)
        _open_programs[str(link)] = program


class ProgramFailedError(OutsideError):
    """A program ended with a status that its caller did not expect."""

    def __init__(self, done: Completed, why: str = "") -> None:
        self.done = done
        said = "\n".join(s for s in (done.stdout[-TAIL:].strip(), done.stderr[-TAIL:].strip()) if s)
        words = why or f"{Path(done.argv[0]).name} ended with status {done.returncode}"
        # A program that failed fails again; who knows that it failed outside says so with another error.
        super().__init__(
            f"{words}\n  command: {shlex.join(done.argv)}\n{_indent(said)}".rstrip(), again=False
        )


def _indent(text: str) -> str:
    return "\n".join(f"  | {line}" for line in text.splitlines())


@contextmanager
def recording() -> Iterator[Recorder]:
    """Collect every program that this context runs."""
    recorder = Recorder()
    token = _recorder.set(recorder)
    try:
        yield recorder
    finally:
        _recorder.reset(token)


def resolve(program: str, env: Mapping[str, str] | None = None) -> str:
    """Return the program's full path; none is found by the current folder.

    Raises MissingProgramError, and RefusedError where a provided program was changed.
    """
    found = shutil.which(program, path=search_path(env))
    if found is None:
        raise MissingProgramError(f"the program {program} is not here", next_step="sealift doctor")
    if (opened := _open_programs.get(found)) is not None:
        opened.check()
    return found


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float = 900,
    check: bool = True,
    undecodable: str = "replace",
) -> Completed:
    """Run one program to its end.

    ``env`` is the whole environment, without it what ``environment_of`` gives the program; ``timeout`` is in
    seconds; with ``check`` a status other than zero raises ProgramFailedError, which shows the command, the
    status and both streams. When the run is ending, InterruptedReleaseError, whatever the program's status.
    ``undecodable`` is Python's error handler for bytes of stdout that are not UTF-8.
    """
    words = [os.fspath(a) for a in argv]
    env = environment_of(words) if env is None else env
    words[0] = resolve(words[0], env)
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        start = time.monotonic()
        with _lock:
            go_on()
            child = subprocess.Popen(
                [*_with_us(), *words],
                cwd=cwd,
                env=env,
                stdin=given,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            _running[child.pid] = child
        too_late = threading.Event()
        late = threading.Timer(timeout, _end_late, (child.pid, too_late))
        late.daemon = True
        late.start()
        try:
            seen = _watch(child.pid)
            # wait4 gives the child's own CPU time and peak memory; Popen.wait would not.
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            # Ctrl-C, in the main thread: what clears away next must not meet a program that still works.
            _end(child)
            raise
        finally:
            late.cancel()
            with _lock:
                _running.pop(child.pid, None)
        end = time.monotonic()
        if (recorder := _recorder.get()) is not None:
            recorder.runs.append(
                Ran(
                    argv0=Path(words[0]).name,
                    start=start,
                    end=end,
                    cpu_seconds=usage.ru_utime + usage.ru_stime,
                    max_rss_bytes=_peak(usage.ru_maxrss * 1024, seen),
                )
            )
        # podman before 5.3 ends with status 0 when SIGTERM ends it: https://github.com/containers/podman/pull/24082
        go_on()
        if (printed := sum(os.fstat(file.fileno()).st_size for file in (out, err))) > MOST_PRINTED:
            raise OutsideError(
                f"{Path(words[0]).name} printed {printed >> 20} MiB, more than {MOST_PRINTED >> 20}",
                means="that is no answer to what it was started for, and would fill our memory",
                again=False,
            )
        out.seek(0)
        err.seek(0)
        done = Completed(
            argv=tuple(words),
            returncode=child.returncode,
            stdout=out.read().decode(errors=undecodable),
            stderr=err.read().decode(errors="replace"),
        )
    if too_late.is_set() and done.returncode < 0:
        raise ProgramFailedError(done, f"{Path(words[0]).name} did not end within {timeout:g} seconds")
    if check and done.returncode != 0:
        raise ProgramFailedError(done)
    return done


def _end_late(pid: int, too_late: threading.Event) -> None:
    # Said before it is done: whoever waits for the program wakes up at once.
    too_late.set()
    kill_group(pid, signal.SIGKILL)


def _end(child: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        kill_group(child.pid, sign)
        # One that runs as root cannot be made to.
        with suppress(subprocess.TimeoutExpired):
            child.wait(KILL_AFTER)
            return


def _watch(pid: int) -> int:
    """Wait until a program has ended, and return the most memory in bytes that it was seen with.

    To the kernel's own figure, which comes at the end, our memory counts too: the child had it until exec.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        # No descriptor is left to wait with: whoever waits next does without these looks.
        return 0
    ended, peak, pause = select.poll(), high_water(pid), SHORTEST_LOOK
    try:
        ended.register(descriptor, select.POLLIN)
        while not ended.poll(pause):
            peak = max(peak, high_water(pid))
            pause = min(2 * pause, LONGEST_LOOK)
    finally:
        os.close(descriptor)
    return peak


def _peak(by_kernel: int, seen: int) -> int:
    return seen if seen and by_kernel <= high_water(os.getpid()) else by_kernel


def high_water(pid: int) -> int:
    """Return the most memory in bytes that a process had since its exec; 0 where there is none any more."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    found = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(next(found, 0))


def _with_us() -> tuple[str, ...]:
    """Have the kernel kill a program when we are killed.

    Its signal comes when the starting thread ends, and here that one waits for the program.
    """
    return (SETPRIV, "--pdeathsig", "KILL", "--") if Path(SETPRIV).exists() else ()


def kill_group(pid: int, sign: signal.Signals) -> None:
    """Signal the process group that ``pid`` leads; one that is gone is no error."""
    try:
        os.killpg(pid, sign)
    except (ProcessLookupError, PermissionError):
        return


def pause(seconds: float, *, in_vain: Callable[[], bool] = lambda: False) -> None:
    """Wait, but no longer than this run goes on, and about a second more once it is ``in_vain``.

    Raises InterruptedReleaseError when the run is ending.
    """
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0 and not in_vain():
        if _ending.wait(min(left, _ASK_EVERY)):
            break
    go_on()


def go_on() -> None:
    """Raise InterruptedReleaseError when this run is ending: asked before something begins or is believed."""
    if _ending.is_set():
        raise InterruptedReleaseError("not begun, or not ended: this run is ending")


def end_all() -> None:
    """End every program that is still running and start no more: the release is over."""
    _ending.set()
    with _lock:
        pids = list(_running)
    for pid in pids:
        kill_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + KILL_AFTER
    while _running and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in list(_running):
        kill_group(pid, signal.SIGKILL)
