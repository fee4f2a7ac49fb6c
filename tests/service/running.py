"""The service itself: built from its source, started on free ports, ended by its pid."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sealift.process import run
from sealift.services.ports import LOOPBACK, free_ports

SOURCE = Path(__file__).parents[2] / "src" / "health-caretaker"
READY_SECONDS = 60.0
# It ends within two seconds; the rest is for a busy machine.
END_SECONDS = 10.0
JSON = dict[str, Any]


def build(into: Path, go: Path) -> Path:
    """Build the binary as the static image has it: without cgo."""
    binary = into / "health-caretaker"
    run(
        [go, "build", "-trimpath", "-o", binary, "./cmd/health-caretaker"],
        cwd=SOURCE,
        env={**os.environ, "CGO_ENABLED": "0"},
    )
    return binary


@dataclass(frozen=True)
class Caretaker:
    """One process of the service, with its folder; leaving it ends the process."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int
    metrics_port: int

    @classmethod
    def start(
        cls, binary: Path, folder: Path, config: JSON, *, env: Mapping[str, str] | None = None
    ) -> Caretaker:
        """Start it and wait until its first round of checks is done."""
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        with free_ports(2) as held:
            web, metrics = held.release()
        ports = (f"-web-port={web}", f"-metrics-port={metrics}")
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [binary, "-config", folder / "config.json", *ports],
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        caretaker = cls(process, folder, web, metrics)
        try:
            caretaker._wait()
        except BaseException:
            caretaker.end()
            raise
        return caretaker

    @property
    def url(self) -> str:
        """The address of the page, with its last slash."""
        return f"http://{LOOPBACK}:{self.port}/"

    def configure(self, config: JSON) -> None:
        """Replace the file in one step: one that is written in place may be read when it is half there."""
        new = self.folder / "config.json.new"
        new.write_text(json.dumps(config), encoding="utf-8")
        new.replace(self.folder / "config.json")

    def ask(self, path: str) -> JSON:
        """Ask the API."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:  # noqa: S310
            said: JSON = json.load(answer)
        return said

    def metrics(self) -> str:
        """Return what it tells Prometheus."""
        address = f"http://{LOOPBACK}:{self.metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=30) as answer:
            said: bytes = answer.read()
        return said.decode()

    def end(self) -> int:
        """Ask the process to end, and return its status."""
        self.process.terminate()
        try:
            return self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text(encoding="utf-8")
                raise AssertionError(f"health-caretaker did not become ready\n{said}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            return bool(self.ask("readyz")["status"] == "ready")
        except urllib.error.HTTPError as refused:
            refused.close()
        except OSError:
            pass
        return False
