"""Programs that Go really linked, for each machine and in each way that is released: nothing odd is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.elf.facts import read_elf
from sealift.elf.program import odd_folders, odd_program
from sealift.process import run
from sealift.tools.gobinary import LEVELS, read_build_info

pytestmark = pytest.mark.programs

GO_ENV = {"GOENV": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOPROXY": "off", "CGO_ENABLED": "0"}
FLAGS = "-ldflags=-s -w -buildid="
WAYS = {
    "amd64": ("amd64", (FLAGS,)),
    "amd64, not stripped": ("amd64", ()),
    "amd64, anywhere in memory": ("amd64", (FLAGS, "-buildmode=pie")),
    "386": ("386", (FLAGS,)),
    "arm": ("arm", (FLAGS,)),
    "arm64": ("arm64", (FLAGS,)),
    "ppc64le": ("ppc64le", (FLAGS,)),
    "riscv64": ("riscv64", (FLAGS,)),
    "s390x": ("s390x", (FLAGS,)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_program_that_go_linked_is_one(tmp_path: Path, way: str) -> None:
    arch, flags = WAYS[way]
    (tmp_path / "go.mod").write_text("module example.com/hello\n\ngo 1.24\n", encoding="utf-8")
    (tmp_path / "main.go").write_text('package main\n\nfunc main() { println("hello") }\n', encoding="utf-8")
    program = tmp_path / "hello"
    env = os.environ | GO_ENV | {"GOOS": "linux", "GOARCH": arch}
    run(["go", "build", "-trimpath", *flags, "-o", program, "."], cwd=tmp_path, env=env)
    facts = read_elf(program)
    assert facts.arch == arch
    assert [*odd_program(program, cgo=False), *odd_folders(facts)] == []
    if arch in LEVELS:
        name, oldest = LEVELS[arch]
        assert read_build_info(program).settings[name] in oldest
