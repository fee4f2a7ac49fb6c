"""The process that holds the services, and ends them when the release that wanted them is gone.

It is started by its path with ``python -I -S`` and needs nothing but the standard library: so it is
there in milliseconds, and root's Python can run it too. Commands come on stdin, one JSON object a line::

    {"start": {"name": ..., "argv": [...], "env": {...}, "cwd": null, "log": "...", "via": []}}
    {"keep": "path of a pid file"}
    {"owe": {"name": ..., "argv": [...], "env": {...}}}    run it at the end, unless it is ...
    {"paid": name}                                         ... done before

Events go to stdout: ``{"ended": name, "status": n}`` and ``{"kept": pid}``. The end of stdin is the end
of the release, however it ended, and so the end of every service that is not kept.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

GRACE = 3.0
# For each, and after which no more is begun: a container engine can hang.
DEBT_SECONDS, DEBTS_SECONDS = 20.0, 90.0
DEBT_TRIES, DEBT_PAUSE = 3, 1.0
SINGLE = "--single"

# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def started_at(pid: int) -> str:
    """Return the kernel's start time of a process, empty if it is gone: with the pid it is unique."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field is a name in parentheses and may hold anything.
    return stat.rpartition(")")[2].split()[19]


def _die_with(parent: int) -> None:
    # The signal comes when the starting *thread* ends: here there is only one, and it ends last.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _settled(debt: dict[str, Any]) -> bool:
    """Run one, and tell whether it ended well; what it says goes where our own errors go."""
    try:
        child = subprocess.Popen(
            debt["argv"], env=debt["env"], stdin=subprocess.DEVNULL, stdout=2, start_new_session=True
        )
    except OSError as error:
        _say(f"{debt['name']}: {error}")
        return False
    try:
        status = child.wait(DEBT_SECONDS)
    except subprocess.TimeoutExpired:
        # With its children, or they would keep what it holds; one that runs as root cannot be made to end.
        with suppress(ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(GRACE)
        _say(f"{debt['name']}: not done within {DEBT_SECONDS:g} s")
        return False
    if status:
        _say(f"{debt['name']}: status {status}")
    return status == 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Supervisor:
    """Starts what stdin asks for; reports what ended; ends all."""

    def __init__(self, *, single: bool) -> None:
        self.single = single
        self.status = 0
        self.kept = False
        self.ending = False
        self.unread = b""
        self.children: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}
        self.debts: dict[str, dict[str, Any]] = {}
        self.selector = selectors.PollSelector()
        self.selector.register(0, selectors.EVENT_READ)
        self.woken, waker = os.pipe()
        os.set_blocking(self.woken, False)
        os.set_blocking(waker, False)
        self.selector.register(self.woken, selectors.EVENT_READ)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self.stop)
        # Orphans of a service become ours, so that none outlives us.
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def stop(self, *_: object) -> None:
        """Leave the loop."""
        self.ending = True

    def run(self) -> int:
        """Serve until the release is gone, then end everything."""
        while not self.ending:
            self.wait(None)
        self.end()
        return self.status

    def wait(self, seconds: float | None) -> None:
        """Sleep until a command, a signal or a dead child."""
        for key, _ in self.selector.select(seconds):
            if key.fd == self.woken:
                os.read(self.woken, 4096)
            else:
                self.read()
        self.reap()

    def read(self) -> None:
        """Take the commands that have come."""
        came = os.read(0, 1 << 16)
        if not came:
            self.selector.unregister(0)
            self.ending = self.ending or not self.kept
            return
        *lines, self.unread = (self.unread + came).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if "start" in command:
                self.start(command["start"])
            elif "keep" in command:
                self.keep(Path(command["keep"]))
            elif "owe" in command:
                self.debts[command["owe"]["name"]] = command["owe"]
            elif "paid" in command:
                self.debts.pop(command["paid"], None)

    def start(self, asked: dict[str, Any]) -> None:
        """Start one service in a session of its own."""
        us = os.getpid()
        via = asked["via"]
        log = (
            os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if asked["log"] else os.dup(1)
        )
        try:
            child = subprocess.Popen(
                via or asked["argv"],
                env=None if via else asked["env"],
                cwd=asked["cwd"],
                stdin=subprocess.PIPE if via else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: _die_with(us),  # noqa: PLW1509 - this process has one thread
            )
        except OSError as error:
            os.write(log, f"{error}\n".encode())
            self.tell({"ended": asked["name"], "status": 127})
            return
        finally:
            if log != 1:
                os.close(log)
        self.children[child.pid] = (asked["name"], child)
        if child.stdin is not None:
            # Another supervisor, with more rights: it ends its service when this pipe closes.
            child.stdin.write(json.dumps({"start": {**asked, "via": [], "log": ""}}).encode() + b"\n")
            child.stdin.flush()

    def keep(self, pidfile: Path) -> None:
        """Stay when the release ends."""
        fresh = pidfile.with_name(f"{pidfile.name}.{os.getpid()}")
        fresh.write_text(
            json.dumps({"pid": os.getpid(), "started": started_at(os.getpid())}), encoding="utf-8"
        )
        fresh.replace(pidfile)
        self.kept = True
        self.tell({"kept": os.getpid()})

    def pay(self) -> None:
        """Run what somebody would have run who did not live to do it: what came last, first.

        All of it once more a moment later: docker's daemon, or a program below sudo, may only then have made
        what is to be removed; and again what failed, as podman does where a container ends just then.
        """
        due = debts = list(reversed(self.debts.values()))
        deadline = time.monotonic() + DEBTS_SECONDS
        for number in range(DEBT_TRIES):
            if not due:
                return
            if number:
                time.sleep(DEBT_PAUSE)
            failed = [debt for debt in due if time.monotonic() > deadline or not _settled(debt)]
            due = failed if number else debts

    def tell(self, event: dict[str, object]) -> None:
        """Report, if anybody still listens."""
        if self.single:
            return
        try:
            os.write(1, json.dumps(event).encode() + b"\n")
        except OSError:
            return

    def reap(self) -> None:
        """Take the status of every child that is dead."""
        while self.children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid not in self.children:
                continue
            name, child = self.children.pop(pid)
            child.returncode = os.waitstatus_to_exitcode(status)
            self.tell({"ended": name, "status": child.returncode})
            if self.single:
                self.status, self.ending = abs(child.returncode), True

    def end(self) -> None:
        """Do what is owed, ask every service to end, then make it."""
        self.pay()
        for pid, (_, child) in self.children.items():
            if child.stdin is not None:
                child.stdin.close()
            else:
                os.kill(pid, signal.SIGTERM)
        # One with more rights needs the same patience inside, and cannot be killed from here.
        patience = GRACE + 2 * any(child.stdin for _, child in self.children.values())
        deadline = time.monotonic() + patience
        while self.children and (left := deadline - time.monotonic()) > 0:
            self.wait(left)
        # Our children and, because we adopt, the orphans they left.
        while pids := Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split():
            for pid in map(int, pids):
                try:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                except PermissionError:
                    return


if __name__ == "__main__":
    sys.exit(Supervisor(single=SINGLE in sys.argv).run())
