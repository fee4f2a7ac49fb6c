"""A desk that shares nothing that runs with others here, and what its releases leave behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from sealift.process import run
from sealift.provision import debian
from sealift.provision.cache import cache_folder
from sealift.provision.root import root_prefix
from sealift.services.buildkit import socket_of
from sealift.services.ports import port_is_taken
from sealift.services.service import SocketReady, privileged
from sealift.tools import engine
from tests.kills.processes import Process, processes
from tests.rehearsal.playing import Desk, Said
from tests.whole import half_files

# More than a guard takes that meets an engine under load.
GONE_SECONDS = 120.0
# What is made once for everybody. Builders, containers and logs are the desk's own: what is left of
# them is then left by its releases, whatever else runs on this machine.
_SHARED = (
    *("advisories", "bases", "busybox", "compile", "debian", "go", "golang"),
    *("locks", "ports", "programs", "upstream", "work"),
)
# How netavark names whom it published a port for.
_PUBLISHED = re.compile(r"--dport \d+ .*dnat name: \S+ id: ([0-9a-f]+)")


@dataclass(frozen=True)
class OwnDesk(Desk):
    """A clone whose cache lies beside it; ``folder`` is alone with that cache in its parent.

    ``namespaces`` are the networks without anybody in them that were here before, ``published`` the
    published ports whose container was gone.
    """

    namespaces: frozenset[str] = frozenset()
    published: frozenset[str] = frozenset()

    @classmethod
    def beside_own_cache(cls, place: Path) -> OwnDesk:
        """Set both up in an empty folder. Its path is short: it holds sockets."""
        desk = cls(Desk.set_up(place / "desk").folder, empty_namespaces(), published_for_nobody())
        desk.cache.mkdir()
        for name in _SHARED:
            (cache_folder() / name).mkdir(parents=True, exist_ok=True)
            (desk.cache / name).symlink_to(cache_folder() / name)
        return desk

    @property
    def cache(self) -> Path:
        """The releases' cache, as the processes that use it name it."""
        return self.folder.parent / "cache"

    @property
    def env(self) -> dict[str, str]:
        """What makes a release use that cache."""
        return {"SEALIFT_CACHE": str(self.cache)}

    def sealift(
        self, *words: str, before: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> Said:
        """Run a verb here."""
        return super().sealift(*words, before=before, env={**self.env, **(env or {})})

    def left(self) -> list[str]:
        """Wait until nothing is left of what ended, and name what still is."""
        deadline = time.monotonic() + GONE_SECONDS
        while (stray := self.stray()) and time.monotonic() < deadline:
            time.sleep(0.2)
        build = self.folder / "build"
        return [*stray, *(f"half a file: {path.relative_to(build)}" for path in half_files(build))]

    def stray(self) -> list[str]:
        """Name what runs, listens, is mounted or is locked."""
        return [
            # First: the engine has processes and mounts of its own while it is asked.
            *(f"container {name}" for name in self.containers()),
            *(f"image {name}" for name in self.images()),
            *(f"process {p.pid}: {p.words[:120]}" for p in self.processes()),
            *(f"port {port}" for port in self.ports() if port_is_taken(port)),
            *(f"socket {path}" for path in self._sockets() if SocketReady(path).answers()),
            *(f"mount {line}" for line in mounts() if str(self.folder.parent) in line),
            *(f"network {path}" for path in empty_namespaces() - self.namespaces),
            *(f"published port: {rule}" for rule in published_for_nobody() - self.published),
            *(f"lock {path}" for path in self._locks() if _is_held(path)),
            *(f"a second builder: {path}" for path in self._builders()[1:]),
        ]

    def processes(self) -> Iterator[Process]:
        """Yield what was started with a path of ours, or with one in its environment."""
        place = str(self.folder.parent)
        return (p for p in processes() if place in p.words or place in p.environment())

    def ports(self) -> list[int]:
        """Return every port of the desk's worlds."""
        files = self.folder.glob("build/rehearsal/*/**/ports.json")
        return [port for file in files for port in json.loads(file.read_bytes()).values()]

    def containers(self) -> list[str]:
        """Name our containers, running or not: all of our own store, and of a shared one those whose
        images were pulled from one of our ports.
        """
        found = self._engine()
        lines = found.call("ps", "--all", "--format={{.Names}} {{.Image}}").stdout.splitlines()
        hosts = tuple(f" localhost:{port}/" for port in self.ports())
        return [line.split()[0] for line in lines if found.store or any(host in line for host in hosts)]

    def images(self) -> list[str]:
        """Name the engine's images that were pulled from one of our ports."""
        told = self._engine().call("images", "--digests", "--format={{.Repository}}@{{.Digest}}")
        hosts = tuple(f"localhost:{port}/" for port in self.ports())
        return [line for line in told.stdout.splitlines() if line.startswith(hosts)]

    def _engine(self) -> engine.Engine:
        return engine.find(self.cache / "locks", store=self.cache.resolve() / "podman")

    def _builders(self) -> list[Path]:
        """Return the builders' folders: one after the other needs no second."""
        return sorted((self.cache / "buildkit").glob("*"))

    def _sockets(self) -> list[Path]:
        return [socket_of(folder) for folder in self._builders()]

    def _locks(self) -> list[Path]:
        worlds = self.folder.glob("build/re*/.*.lock")
        return [*(folder / "lock" for folder in self._builders()), *worlds]


@contextmanager
def own_desk(below: str = "") -> Iterator[OwnDesk]:
    """Give a desk of its own, perhaps below further folders, and remove it with all that root made in it."""
    place = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        (place / below).mkdir(parents=True, exist_ok=True)
        yield OwnDesk.beside_own_cache(place / below)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if place.exists():
            run(privileged(["rm", "-rf", "--one-file-system", os.fspath(place)]))


def mounts() -> list[str]:
    """Return the kernel's line about each mount: an overlay's names its folders, too."""
    return Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()


def empty_namespaces() -> frozenset[str]:
    """Return the containers' networks that are mounted though no process lives in them.

    Nothing tells whose one was. Only root sees where processes live: who cannot be root gets no answer.
    """
    nsfs = (line.split()[1] for line in mounts() if line.split()[2] == "nsfs")
    places = [place for place in nsfs if "/netns/" in place]
    if not places or root_prefix() is None:
        return frozenset()
    # One that ends meanwhile is no longer there to be read.
    links = run(privileged(["sh", "-c", "readlink /proc/[0-9]*/ns/net"]), check=False).stdout
    inhabited = frozenset(links.split())
    told = run(privileged(["stat", "--format=net:[%i] %n", *places]), check=False).stdout.splitlines()
    mounted = (line.split(" ", 1) for line in told)
    return frozenset(place for network, place in mounted if network not in inhabited)


def published_for_nobody() -> frozenset[str]:
    """Return the packet filter's rules by which podman published a port of a container that is gone.

    Only root is told the rules, as above. Podman with nftables writes others, which are not looked at.
    """
    if (iptables := debian.find("iptables")) is None or root_prefix() is None:
        return frozenset()
    rules = run(privileged([os.fspath(iptables), "--wait", "-t", "nat", "-S"])).stdout.splitlines()
    # Whoever holds a container has its id in its command line: conmon, or who starts it.
    running = " ".join(process.words for process in processes())
    named = {rule: found[1] for rule in rules if (found := _PUBLISHED.search(rule))}
    return frozenset(rule for rule, container in named.items() if container not in running)


def _is_held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
