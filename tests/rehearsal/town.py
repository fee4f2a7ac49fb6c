"""A release that is out, while its services are down: everything of it lies in folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealift.model.names import Repository
from sealift.services.registry import public_registry
from sealift.services.supervised import Supervised
from sealift.tools.regctl import regctl
from sealift.tools.registry import Registry
from tests.rehearsal.playing import Desk

JSON = dict[str, Any]


@dataclass(frozen=True)
class Town:
    """A desk whose release is out and whose services are down: everything of it lies in folders."""

    desk: Desk

    @property
    def world(self) -> Path:
        (world,) = (p for p in self.desk.folder.glob("build/rehearsal/*") if p.is_dir())
        return world

    @property
    def repository(self) -> Repository:
        ports = json.loads((self.world / "ports.json").read_text(encoding="utf-8"))
        return Repository(f"localhost:{ports['registry']}/health-caretaker")

    @contextmanager
    def registry(self, scratch: Path) -> Iterator[Registry]:
        """Serve the world's own registry, to damage it."""
        host = self.repository.host
        port = int(host.rpartition(":")[2])
        with Supervised(log=scratch / "supervisor.log") as services:
            services.start([public_registry(self.world / "registry", port, log=scratch / "registry.log")])
            yield Registry(plain_http=(host,))

    def status(self, *words: str) -> tuple[int, JSON]:
        said = self.desk.sealift("status", "--json", *words)
        assert said.stdout, said.stderr
        told: JSON = json.loads(said.stdout)
        return said.status, told

    def wrong(self) -> tuple[list[tuple[str, str]], str]:
        status, told = self.status()
        assert status == 3, told
        wrong = [(f["what"], f["verdict"]) for f in told["findings"] if f["verdict"] != "agrees"]
        return wrong, told["repair"]

    def records(self) -> dict[str, Path]:
        """Find each asset in GitHub's folder."""
        found = self.world.glob("github/assets/*/record.json")
        return {json.loads(p.read_text(encoding="utf-8"))["name"]: p.parent for p in found}

    def remembered(self) -> dict[str, tuple[int, str]]:
        """Return everything that the registry and GitHub remember: by path its time and hash."""
        files = [p for part in ("registry", "github") for p in (self.world / part).rglob("*") if p.is_file()]
        return {
            str(p.relative_to(self.world)): (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest())
            for p in files
        }


def delete(registry: Registry, reference: str, kind: str = "manifest") -> None:
    """Delete a manifest, or a tag."""
    done = regctl(kind, "delete", reference, plain_http=registry.plain_http)
    assert done.returncode == 0, done.stderr
