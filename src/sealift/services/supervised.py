"""The release's side of the supervisor: start services together, keep them, or end them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sealift.environment import environment_of
from sealift.errors import DefectError, ManyErrors, OutsideError, SealiftError
from sealift.process import ProgramFailedError, resolve, run
from sealift.services import supervisor
from sealift.services.ports import port_is_taken
from sealift.services.service import Service, ServiceError, SocketReady, privileged

DEADLINE = 60.0
OWED_SECONDS = 120.0
_ASK_EVERY = 0.02
_STOP_SECONDS = supervisor.GRACE + 7
_WAY_SECONDS = supervisor.GRACE + 2


class Supervised:
    """Services that end when this block does, or when this process dies, however it dies.

    Example::

        with Supervised(log=folder / "supervisor.log") as services:
            services.start([registry, fulcio])
            ...
    """

    def __init__(self, *, log: Path) -> None:
        self._lock = threading.Lock()
        self._kept = False
        self._unread = b""
        self._log = log
        self._ended: dict[str, int] = {}
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as words:
            # Its own session: Ctrl-C reaches us alone, and we end it by closing the pipe.
            self._process = subprocess.Popen(
                _command(),
                env=environment_of(sys.executable),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, services: Sequence[Service], *, deadline: float = DEADLINE) -> None:
        """Start all of them together and return when each one answers."""
        with self._lock:
            for service in services:
                _make_way(service)
            for service in services:
                self._send({"start": _order(service)})
            self._wait(services, time.monotonic() + deadline)

    @contextmanager
    def owing(self, name: str, argv: Sequence[str]) -> Iterator[None]:
        """Run a program after the block; where either fails, or we are ended, it is run at the end, too.

        So what it removes may be gone already. That it fails is no error of the block's.
        """
        self.owe(name, argv)
        whole = False
        try:
            yield
            whole = True
        finally:
            with suppress(ProgramFailedError):
                run(argv, timeout=OWED_SECONDS)
                # What the block was interrupted in may go on, and make only then what is to be removed.
                if whole:
                    self.paid(name)

    def owe(self, name: str, argv: Sequence[str]) -> None:
        """Have a program run at the end, also when we are killed, unless ``paid(name)`` comes first."""
        with self._lock:
            self._send(
                {
                    "owe": {
                        "name": name,
                        "argv": [resolve(argv[0]), *argv[1:]],
                        "env": environment_of(argv),
                    }
                }
            )

    def paid(self, name: str) -> None:
        """Say that what was owed under this name is done."""
        with self._lock:
            self._send({"paid": name})

    def keep(self, pidfile: Path) -> None:
        """Let the services stay after this process; ``stop_kept(pidfile)`` ends them."""
        with self._lock:
            pidfile.parent.mkdir(parents=True, exist_ok=True)
            self._send({"keep": str(pidfile.absolute())})
            while not self._kept:
                self._hear(DEADLINE)

    def close(self) -> None:
        """End every service and wait until all are gone, unless they are kept."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # What a supervisor that was killed has not read is still to be written.
                with suppress(BrokenPipeError):
                    pipe.close()
        if self._kept:
            # Not ours to wait for any more; without this the destructor complains.
            self._process.returncode = 0
        else:
            self._process.wait()

    def _wait(self, services: Sequence[Service], deadline: float) -> None:
        errors: list[SealiftError] = []
        waiting = list(services)
        while waiting:
            self._hear(_ASK_EVERY)
            for service in tuple(waiting):
                if service.name in self._ended:
                    errors.append(ServiceError(service, f"ended with status {self._ended[service.name]}"))
                elif not service.ready.answers():
                    if time.monotonic() < deadline:
                        continue
                    errors.append(ServiceError(service, "does not answer"))
                waiting.remove(service)
        if errors:
            raise errors[0] if len(errors) == 1 else ManyErrors(errors)

    def _send(self, command: dict[str, Any]) -> None:
        pipe = self._process.stdin
        if pipe is None or pipe.closed:
            raise DefectError("the services' supervisor was asked after its end")
        try:
            pipe.write(json.dumps(command).encode() + b"\n")
            pipe.flush()
        except BrokenPipeError as error:
            raise self._gone() from error

    def _hear(self, seconds: float) -> None:
        pipe = self._process.stdout
        if pipe is None or not select.select([pipe], [], [], seconds)[0]:
            return
        came = os.read(pipe.fileno(), 1 << 16)
        if not came:
            raise self._gone()
        *lines, self._unread = (self._unread + came).split(b"\n")
        for line in lines:
            event = json.loads(line)
            if "kept" in event:
                self._kept = True
            else:
                self._ended[event["ended"]] = event["status"]

    def _gone(self) -> OutsideError:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip()
        return OutsideError(
            f"the services' supervisor is gone, and all services with it\n{said}".rstrip(),
            means="something killed it: it ends by itself only after us",
            again=False,
        )


def is_kept(pidfile: Path) -> bool:
    """Tell whether the services that ``keep`` left are still there."""
    return _kept_process(pidfile) is not None


def stop_kept(pidfile: Path) -> bool:
    """End the services that ``keep`` left and wait until they are gone; tell whether there were any."""
    pid = _kept_process(pidfile)
    if pid is not None:
        _end(pid)
    pidfile.unlink(missing_ok=True)
    return pid is not None


def _kept_process(pidfile: Path) -> int | None:
    try:
        kept = json.loads(pidfile.read_text(encoding="utf-8"))
        pid, started = int(kept["pid"]), str(kept["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # A pid alone may by now be somebody else's.
    return pid if started and supervisor.started_at(pid) == started else None


def _end(pid: int) -> None:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for sign, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, 2.0)):
            signal.pidfd_send_signal(process, sign)
            if select.select([process], [], [], seconds)[0]:
                return
    except ProcessLookupError:
        return
    finally:
        os.close(process)
    raise OutsideError(f"the kept services' supervisor, process {pid}, does not end")


def _command() -> tuple[str, ...]:
    return sys.executable, "-I", "-S", supervisor.__file__


def _order(service: Service) -> dict[str, Any]:
    service.log.parent.mkdir(parents=True, exist_ok=True)
    raised = service.root and os.geteuid() != 0
    return {
        "name": service.name,
        "argv": [resolve(service.argv[0]), *service.argv[1:]],
        "env": service.environment,
        "cwd": None if service.cwd is None else str(service.cwd),
        "log": str(service.log.absolute()),
        "via": list(privileged([*_command(), supervisor.SINGLE])) if raised else [],
    }


def _make_way(service: Service) -> None:
    """Refuse a port that is taken: another program's answer would pass for the service's own.

    Services of a run that was just killed need a moment to end, so it is asked for a while.
    """
    deadline = time.monotonic() + _WAY_SECONDS
    while (taken := _taken(service)) and time.monotonic() < deadline:
        time.sleep(_ASK_EVERY)
    if taken:
        raise OutsideError(
            f"{taken} is taken, and the service {service.name} needs it",
            means="another program listens there, perhaps another rehearsal of the same world; or a rule of"
            " the packet filter sends elsewhere what comes there",
            next_step="sealift rehearse stop",
        )
    if isinstance(service.ready, SocketReady):
        service.ready.path.unlink(missing_ok=True)


def _taken(service: Service) -> str:
    """Name what the service would listen on if somebody else does."""
    if isinstance(service.ready, SocketReady):
        return str(service.ready.path) if service.ready.answers() else ""
    return f"port {service.ready.port}" if port_is_taken(service.ready.port) else ""
