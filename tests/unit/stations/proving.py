"""Binaries on their way through prove. Build info is what ``go version -m -json`` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sealift.elf.rootfs import Rootfs
from sealift.model import config
from sealift.model.evidence import Compiled, Proven
from sealift.model.names import Digest, Platform, Version
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.process import Completed
from sealift.stations.prove import prove
from sealift.tools import gobinary
from tests.unit.elf.assets import asset
from tests.unit.elf.tars import image

COMMIT, OTHER = "a" * 40, "b" * 40
STATIC = Cell("static", Platform("linux/amd64"))
DYNAMIC = Cell("base", Platform("linux/amd64"))
FOLDER = "lib/x86_64-linux-gnu"
BASE: Mapping[str, bytes | str] = {
    "lib64": FOLDER,
    f"{FOLDER}/ld-linux-x86-64.so.2": asset("ld-linux-x86-64.so.2"),
    f"{FOLDER}/libone.so.1": asset("libone.so"),
    f"{FOLDER}/libtwo.so": asset("libtwo.so"),
}
SETTINGS = {
    "GOOS": "linux",
    "GOARCH": "amd64",
    "GOAMD64": "v1",
    "CGO_ENABLED": "0",
    "vcs.revision": COMMIT,
    "vcs.modified": "false",
}
CGO = {"CGO_ENABLED": "1"}


def without(files: Mapping[str, bytes | str], name: str) -> Mapping[str, bytes | str]:
    assert f"{FOLDER}/{name}" in files
    return {path: data for path, data in files.items() if path != f"{FOLDER}/{name}"}


def go_said(settings: Mapping[str, str], path: str, module: str) -> str:
    return json.dumps(
        {
            "GoVersion": "go1.26.8",
            "Path": path,
            "Main": {"Path": module, "Version": "(devel)"},
            "Deps": [{"Path": "example.com/lib", "Version": "v1.2.3", "Sum": "h1:x"}],
            "Settings": [{"Key": key, "Value": value} for key, value in settings.items()],
        }
    )


@dataclass(frozen=True)
class Case:
    """One binary on its way through the station."""

    root: Path
    monkeypatch: pytest.MonkeyPatch
    cell: Cell = STATIC
    binary: bytes = field(default_factory=lambda: asset("static"))
    base: Mapping[str, bytes | str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    compiled: bytes | None = None
    modified: bool = False
    path: str = "example.com/hello/cmd/health-caretaker"
    module: str = "example.com/hello"

    def prove(self) -> Proven:
        run, plan = RunFolder(self.root), planned(self.modified)
        path = run.binary(self.cell, plan.config.service)
        run.publish(path, self.binary)
        self._let_go_say(go_said({**SETTINGS, **self.settings}, self.path, self.module))
        source = self.root / "source"
        module = source / plan.config.go.module
        module.mkdir(parents=True)
        (module / "go.mod").write_text("module example.com/hello // as it is\n\ngo 1.26\n", encoding="utf-8")
        compiled = Compiled(
            path=path,
            sha256=Digest.of(self.binary if self.compiled is None else self.compiled),
            go_version="go1.26.8",
            command=(),
        )
        return prove(self.cell, plan, compiled, named(image(self.base)), run, source=source)

    def _let_go_say(self, words: str) -> None:
        def run(argv: Any, **_: Any) -> Completed:
            assert argv[:4] == ["go", "version", "-m", "-json"]
            return Completed(argv=("go",), returncode=0, stdout=words, stderr="")

        self.monkeypatch.setattr(gobinary, "run", run)


def planned(modified: bool) -> Plan:
    return Plan(
        version=Version.parse("1.2.3"),
        commit=COMMIT,
        time=0,
        modified=modified,
        left_out=(),
        config=config.load(Path(__file__).parents[3] / "ci" / "release.yaml"),
        moving_tags=(),
    )


def named(base: Rootfs) -> Rootfs:
    base.origin = "distroless/base"
    return base


def static_case(root: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Give a static binary on nothing, which is right."""
    return Case(root, monkeypatch)


def dynamic_case(root: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Give a dynamic binary on its base, which is right."""
    return Case(root, monkeypatch, DYNAMIC, asset("dynamic"), BASE, CGO)
