"""A docker engine for one test run: Debian's dockerd, with everything it needs of its own."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sealift.process import run
from sealift.provision import debian
from sealift.provision.root import root_prefix
from sealift.services.service import Service, SocketReady
from sealift.services.supervised import Supervised

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
CONTAINERD = """\
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/containerd.sock"
"""


@contextmanager
def dockerd(folder: Path) -> Iterator[str]:
    """Start an engine and give its DOCKER_HOST; nothing of it is left afterwards, and that is looked at.

    It leaves the firewall alone (another engine on this machine may own those chains), so its containers'
    way out is two rules of our own, and its ports are opened by docker-proxy.
    """
    debian.ensure(["dockerd"])
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *debian.SYSTEM_FOLDERS])
    socket = folder / "docker.sock"
    with ExitStack() as stack:
        stack.callback(_nothing_left, folder)
        bridge = stack.enter_context(_bridge())
        services = stack.enter_context(Supervised(log=folder / "supervisor.log"))
        services.start([_containerd(folder)])
        services.start([_dockerd(folder, socket, bridge)])
        host = f"unix://{socket}"
        yield host
        _end_containers(host)


def _containerd(folder: Path) -> Service:
    """Give the engine a containerd of its own: a system's serves that system's engine."""
    config = folder / "containerd.toml"
    config.write_text(CONTAINERD.format(folder=folder), encoding="utf-8")
    return Service(
        name="containerd",
        argv=("containerd", "--config", str(config)),
        ready=SocketReady(folder / "containerd.sock"),
        log=folder / "containerd.log",
        root=True,
    )


def _dockerd(folder: Path, socket: Path, bridge: str) -> Service:
    return Service(
        name="dockerd",
        argv=(
            *("dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
            *("--containerd", str(folder / "containerd.sock"), "--pidfile", str(folder / "pid")),
            *("--host", f"unix://{socket}", "--group", str(os.getgid())),
            *("--bridge", bridge, "--iptables=false", "--ip6tables=false"),
        ),
        ready=SocketReady(socket),
        log=folder / "dockerd.log",
        root=True,
    )


@contextmanager
def _bridge() -> Iterator[str]:
    name = f"sealift{secrets.token_hex(3)}"
    subnet = _free_subnet()
    forwarded = FORWARD.read_text()
    _root("ip", "link", "add", "name", name, "type", "bridge")
    rules = (
        ("-t", "nat", "POSTROUTING", "-s", f"{subnet}.0/24", "!", "-o", name, "-j", "MASQUERADE"),
        ("-t", "filter", "FORWARD", "-i", name, "-j", "ACCEPT"),
        ("-t", "filter", "FORWARD", "-o", name, "-j", "ACCEPT"),
    )
    try:
        _root("ip", "address", "add", f"{subnet}.1/24", "dev", name)
        _root("ip", "link", "set", name, "up")
        for at, table, chain, *rule in rules:
            _root("iptables", at, table, "-I", chain, *rule)
        yield name
    finally:
        for at, table, chain, *rule in rules:
            _root("iptables", at, table, "-D", chain, *rule, check=False)
        _root("ip", "link", "delete", name)
        # Another run's containers may still need it.
        if FORWARD.read_text() != forwarded and not list(Path("/sys/class/net").glob("sealift*")):
            run([*_prefix(), "tee", FORWARD], stdin=forwarded.encode())


def _free_subnet() -> str:
    taken = run(["ip", "route"]).stdout
    numbers = [f"10.{random.randint(130, 250)}.{random.randint(0, 250)}" for _ in range(20)]  # noqa: S311
    return next(n for n in numbers if f"{n}." not in taken)


def _end_containers(host: str) -> None:
    asked = subprocess.run(
        ["docker", "--host", host, "ps", "-aq"], capture_output=True, check=True, text=True
    )
    if names := asked.stdout.split():
        subprocess.run(["docker", "--host", host, "rm", "-f", *names], capture_output=True, check=True)


def _nothing_left(folder: Path) -> None:
    """Fail if the engine has left a mount or a program; then remove its files."""
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    words = (_words(cmdline) for cmdline in Path("/proc").glob("[0-9]*/cmdline"))
    programs = [argv for argv in words if str(folder).encode() in argv]
    assert mounts == []
    assert programs == []
    _root("rm", "-rf", "--one-file-system", str(folder))


def _words(cmdline: Path) -> bytes:
    """Read it once: a program may be gone the next moment."""
    try:
        return cmdline.read_bytes()
    except OSError:
        return b""


def _root(*argv: str, check: bool = True) -> None:
    run([*_prefix(), *argv], check=check)


def _prefix() -> tuple[str, ...]:
    prefix = root_prefix()
    assert prefix is not None, "these tests start an engine, which needs root or sudo without a password"
    return prefix
