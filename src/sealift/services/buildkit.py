"""BuildKit as a service, and the buildx builder that speaks to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sealift.network import child_env, network_env
from sealift.places import plain
from sealift.process import run
from sealift.services.service import Service, SocketReady

SOCKET = "buildkitd.sock"
# What sun_path of <linux/un.h> holds beside its final zero, less the socket's own name.
_LONGEST_ROOT = 107 - len(f"/{SOCKET}")
# More than the releases of a day need, and little enough for a hosted runner's disk.
KEEP_BYTES = 3_000_000_000


def buildkit(
    root: Path, *, log: Path, keep_bytes: int = KEEP_BYTES, registries: tuple[str, ...] = ()
) -> Service:
    """Return a BuildKit daemon with its state in ``root``; ``registries`` speak plain http.

    Its socket is ``socket_of(root)``. It needs root's rights, to mount and to make namespaces.
    """
    root.mkdir(parents=True, exist_ok=True)
    config = root / "buildkitd.toml"
    config.write_text(config_of(root, keep_bytes=keep_bytes, registries=registries), encoding="utf-8")
    return Service(
        name="buildkitd",
        argv=("buildkitd", "--config", str(config)),
        ready=SocketReady(socket_of(root)),
        log=log,
        # It fetches what a Dockerfile begins with.
        env=network_env(),
        root=True,
    )


def socket_of(root: Path) -> Path:
    """Return the socket of the daemon whose state is in ``root``, which is there."""
    return plain(root, longest=_LONGEST_ROOT) / SOCKET


def config_of(root: Path, *, keep_bytes: int, registries: tuple[str, ...]) -> str:
    """Write the daemon's configuration."""
    # TOML can quote a path; the kernel's list of an overlay's folders, and a socket's address, cannot.
    place = plain(root, longest=_LONGEST_ROOT)
    return "\n".join(
        [
            f'root = "{place / "state"}"',
            "[grpc]",
            f'address = ["unix://{place / SOCKET}"]',
            # The daemon is root's, and whoever started it speaks to it.
            f"uid = {os.getuid()}",
            f"gid = {os.getgid()}",
            "[worker.containerd]",
            "enabled = false",
            "[worker.oci]",
            "enabled = true",
            # The host's network: steps reach the registries on loopback, and no CNI plug-in is needed.
            'networkMode = "host"',
            "gc = true",
            f"maxUsedSpace = {keep_bytes}",
            *(line for host in registries for line in (f'[registry."{host}"]', "http = true")),
            "",
        ]
    )


def create_builder(socket: Path, name: str, *, env: Mapping[str, str]) -> None:
    """Tell buildx of the daemon; ``env`` carries BUILDX_CONFIG, the folder that remembers it."""
    address = f"unix://{plain(socket.parent, longest=_LONGEST_ROOT) / socket.name}"
    # Naming the node lets the next run say the same again.
    argv = ["docker-buildx", "create", "--name", name, "--node", name, "--driver=remote", address]
    run(argv, env=child_env(argv, env), timeout=60)
