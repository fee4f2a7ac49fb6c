"""Start images one after another, and look at them: how soon they answer, what memory they take."""

from __future__ import annotations

import http.client
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sealift.compare.values import Running
from sealift.console import say
from sealift.errors import OutsideError
from sealift.model.names import Platform
from sealift.services.ports import LOOPBACK, free_ports
from sealift.services.supervised import Supervised
from sealift.tools.engine import Engine

HEALTH_PORT = 8080
ASK_EVERY = 0.002
DEADLINE = 30.0
AT_REST = 2.0
REQUESTS = 500
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Started:
    """A container that answers; ``seconds`` from the engine's command to the first good answer."""

    name: str
    port: int
    seconds: float


@dataclass
class _Seen:
    starts: list[float] = field(default_factory=list)
    cgroup: list[int] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


def run_in_turn(
    engine: Engine,
    images: Mapping[str, str],
    platform: Platform,
    *,
    guard: Supervised,
    starts: int,
    looks: int,
) -> dict[str, Running]:
    """Start every kind, then every kind again: what the machine does meanwhile meets all of them.

    The first round fills the machine's caches and is not counted. In the last ``looks`` rounds each
    container is left alone for a moment, its memory read, and then asked as fast as one client can.
    ``guard`` removes what we cannot when we are killed.
    """
    seen: dict[str, _Seen] = defaultdict(_Seen)
    for number in range(starts + 1):
        say(f"compare: round {number} of {starts}")
        for kind, image in images.items():
            with _started(engine, image, platform, guard) as container:
                if number == 0:
                    continue
                seen[kind].starts.append(container.seconds)
                if number > starts - looks:
                    _look(engine, container, seen[kind])
    return {
        kind: Running(
            starts=tuple(round(seconds, 4) for seconds in found.starts),
            cgroup=tuple(found.cgroup),
            rss=tuple(found.rss),
            requests_per_second=tuple(round(rate, 1) for rate in found.rates),
        )
        for kind, found in seen.items()
    }


@contextmanager
def _started(engine: Engine, image: str, platform: Platform, guard: Supervised) -> Iterator[Started]:
    name = f"sealift-compare-{secrets.token_hex(4)}"
    with free_ports(1) as held:
        (port,) = held.release()
    begin = time.monotonic()
    answered: list[float] = []
    # The service answers before the engine's command returns, so it is asked meanwhile.
    asking = threading.Thread(target=_wait, args=(port, begin + DEADLINE, answered), daemon=True)
    with guard.owing(name, engine.removal(name)):
        asking.start()
        engine.start(image, platform, name, {HEALTH_PORT: port})
        asking.join()
        if not answered:
            raise OutsideError(
                f"{image} gave no good /healthz within {DEADLINE:g} s\n{engine.logs(name)}",
                next_step="sealift smoke",
            )
        yield Started(name, port, answered[0] - begin)


def _wait(port: int, deadline: float, answered: list[float]) -> None:
    while time.monotonic() < deadline:
        if _good(port):
            answered.append(time.monotonic())
            return
        time.sleep(ASK_EVERY)


def _good(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _look(engine: Engine, container: Started, seen: _Seen) -> None:
    time.sleep(AT_REST)
    pid = int(engine.call("inspect", "--format={{.State.Pid}}", container.name).stdout)
    seen.rss.append(rss(Path(f"/proc/{pid}/status").read_text(encoding="ascii")))
    group = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii")
    seen.cgroup.append(int(memory_file(group).read_text(encoding="ascii")))
    seen.rates.append(_rate(container.port))


def rss(status: str) -> int:
    """Read a process' memory from its /proc/PID/status."""
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def memory_file(group: str, root: Path = CGROUPS) -> Path:
    """Find where a process' cgroup counts its memory: the first version's file, or the second's."""
    paths = {names: path for _, names, path in (line.split(":", 2) for line in group.splitlines())}
    for names, path in paths.items():
        if "memory" in names.split(","):
            return root / "memory" / path.lstrip("/") / "memory.usage_in_bytes"
    return root / paths[""].lstrip("/") / "memory.current"


def _rate(port: int) -> float:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    begin = time.monotonic()
    for _ in range(REQUESTS):
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    seconds = time.monotonic() - begin
    connection.close()
    return REQUESTS / seconds
