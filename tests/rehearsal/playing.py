"""Play a release in a clone of this repository, as somebody at a desk does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sealift.model import bases
from sealift.process import run
from tests.conftest import ROOT

COMMIT = run(["git", "-C", ROOT, "rev-parse", "HEAD"]).stdout.strip()
SEALIFT = (sys.executable, "-m", "sealift")
JSON = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Said:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Desk:
    """One clone."""

    folder: Path

    @classmethod
    def set_up(cls, folder: Path) -> Desk:
        """Clone this repository at the commit that it had when the tests began.

        Nothing outside is asked for: where bases are locked, they are not in the clone.
        """
        run(["git", "clone", "--quiet", "--no-tags", ROOT, folder])
        run(["git", "-C", folder, "checkout", "--quiet", "-B", "main", COMMIT])
        desk, lock = cls(folder), folder / "ci" / "bases.lock.yaml"
        if bases.load(lock):
            bases.save(lock, {})
            desk.git("commit", "--quiet", "--all", "--message=Lock no base")
        return desk

    def sealift(
        self, *words: str, before: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> Said:
        """Run a verb here, with the words of another command before it."""
        done = subprocess.run(
            [*before, *SEALIFT, *words],
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        return Said(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def git(self, *words: str) -> str:
        """Run git here, as somebody with a name."""
        who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.test")
        return run(["git", *who, "-C", self.folder, *words]).stdout

    @property
    def latest(self) -> Path:
        """The newest run folder."""
        return self.folder / "build" / "release" / "latest"


@dataclass(frozen=True)
class Played:
    """A release that was rehearsed, whose services are still up."""

    desk: Desk
    said: Said

    @cached_property
    def report(self) -> JSON:
        """What it says of itself."""
        report: JSON = json.loads((self.desk.latest / "report.json").read_text(encoding="utf-8"))
        return report

    @cached_property
    def env(self) -> dict[str, str]:
        """All that a stranger is told."""
        told: dict[str, str] = json.loads(self.desk.sealift("rehearse", "env", "--json").stdout)
        return told

    def indexes(self) -> list[str]:
        """Return both indexes by digest."""
        return [f"{i['repository']}@{i['digest']}" for i in self.report["images"].values()]

    def platforms(self) -> list[str]:
        """Return every platform's manifest by digest."""
        return [
            f"{image['repository']}@{built['digest']}"
            for image in self.report["images"].values()
            for built in image["platforms"].values()
        ]

    def tagged(self) -> list[str]:
        """Return both indexes by each of their tags."""
        return [f"{i['repository']}:{tag}" for i in self.report["images"].values() for tag in i["tags"]]
