"""Open a rehearsal's world to look at it, and nothing more: it stays as it was.

    with looking(plan, folder, referrers_api=True) as world:
        Registry(plain_http=(world.registry,), env=world.env).head(...)

Services that ``release --keep`` left up are used as they are. Otherwise a registry and a stand-in for GitHub
serve a copy of what the world remembers, at the world's own ports, so that every name stays what it was.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sealift.model.plan import Plan
from sealift.model.world import World
from sealift.rehearsal.outside import client_environment, github_service, outside
from sealift.rehearsal.sigstore_trust import url
from sealift.rehearsal.worlds import KEPT, alone
from sealift.services.registry import public_registry
from sealift.services.supervised import Supervised, is_kept

# What a world remembers; without any of it nothing was released there.
MEMORY = (
    "ports.json",
    "github.token",
    "github",
    "registry",
    "sigstore/ports.json",
    "sigstore/trusted_root.json",
)


def played(folder: Path) -> bool:
    """Tell whether anything was released in a world, which may not even be there."""
    return all((folder / name).exists() for name in MEMORY)


@contextmanager
def looking(plan: Plan, folder: Path, *, referrers_api: bool) -> Iterator[World]:
    """Open a world that ``played`` has found."""
    with tempfile.TemporaryDirectory(prefix="sealift-status-") as name:
        env = client_environment(Path(name) / "home")
        issuer = url(_numbers(folder / "sigstore" / "ports.json")["issuer"])
        world = outside(plan, folder, _numbers(folder / "ports.json"), issuer=issuer, env=env)
        if is_kept(folder / KEPT):
            yield world
            return
        with alone(folder), _served(plan, folder, Path(name), referrers_api=referrers_api):
            yield world


@contextmanager
def _served(plan: Plan, folder: Path, copy: Path, *, referrers_api: bool) -> Iterator[None]:
    for part in ("registry", "github"):
        shutil.copytree(folder / part, copy / part)
    ports, logs = _numbers(folder / "ports.json"), copy / "logs"
    with Supervised(log=logs / "supervisor.log") as services:
        services.start(
            [
                public_registry(
                    copy / "registry",
                    ports["registry"],
                    log=logs / "registry.log",
                    referrers_api=referrers_api,
                ),
                github_service(
                    copy / "github",
                    ports["github"],
                    repository=plan.config.source,
                    token_file=folder / "github.token",
                    log=logs / "github.log",
                ),
            ]
        )
        yield


def _numbers(ports: Path) -> dict[str, int]:
    return dict(json.loads(ports.read_text(encoding="utf-8")))
