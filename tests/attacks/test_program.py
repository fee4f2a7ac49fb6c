"""Prove: programs that were really compiled, each of something else than what was planned."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from sealift.elf.rootfs import Rootfs
from sealift.line import Line
from sealift.model.evidence import Compiled
from sealift.model.plan import Cell
from sealift.model.run import RunFolder
from sealift.process import run
from sealift.stations.gate import GateRefusedError
from sealift.stations.prove import prove
from sealift.tools import go as compiler
from sealift.tools.layout import Layout
from tests.attacks.forging import AMD64

pytestmark = pytest.mark.programs

STATIC, BASE = Cell("static", AMD64), Cell("base", AMD64)
NAME = "health-caretaker"
# Starts as any program does; what it would unpack lies in a section that nothing but itself knows.
STUB = r"""
__asm__(".pushsection .go.buildinfo,\"aw\"\n.balign 16\n.incbin \"buildinfo\"\n.popsection\n"
        ".pushsection .packed,\"a\"\n.incbin \"packed\"\n.popsection\n");
int main(void) { for (;;) {} }
"""


@pytest.fixture
def source(line: Line, tmp_path: Path) -> Path:
    """Give a copy of the released source, with its history, to change."""
    return shutil.copytree(line.source, tmp_path / "source")


def build(line: Line, source: Path, cell: Cell, out: Path, *, package: str = "", **env: str) -> bytes:
    """Compile as the release does, but for what is changed."""
    config, variant = line.plan.config, line.plan.variant(cell.variant)
    request = compiler.GoBuildRequest(
        module=source / config.go.module,
        package=package or config.go.package,
        variable=config.go.version_variable,
        version=str(line.plan.version),
        platform=cell.platform,
        linkage=variant.linkage,
        glibc=variant.glibc,
        output=out,
        cache=line.cache,
    )
    flags = f"-ldflags=-s -w -buildid= -X {request.variable}={request.version}"
    if variant.linkage == "dynamic":
        flags += " -linkmode=external -extldflags=-s"
    settings: Mapping[str, str] = {**compiler.environment(line.go, request), **env}
    argv = [str(line.go), "build", "-trimpath", "-buildvcs=true", flags, "-o", str(out), request.package]
    run(argv, cwd=request.module, env=settings)
    return out.read_bytes()


def refusals(line: Line, cell: Cell, binary: bytes, folder: Path) -> list[str]:
    """Put a binary in the place of the one that was compiled."""
    here = RunFolder(folder / "run")
    path = here.binary(cell, NAME)
    compiled = Compiled(path=path, sha256=here.publish(path, binary).sha256, go_version="", command=())
    below = line.world.bases[line.plan.variant(cell.variant).base]
    layout = Layout(below.layout)
    rootfs = Rootfs.from_layout(layout, layout.platforms(below.digest)[cell.platform], below.name)
    with pytest.raises(GateRefusedError) as caught:
        prove(cell, line.plan, compiled, rootfs, here, source=line.source)
    assert caught.value.exit_code == 3
    return [gate.detail for gate in caught.value.gates if gate.verdict == "refused"]


def test_another_program_of_the_same_module_is_refused(line: Line, source: Path, tmp_path: Path) -> None:
    cmd = source / line.plan.config.go.module / "cmd"
    shutil.copytree(cmd / NAME, cmd / "not-the-service")
    binary = build(line, source, STATIC, tmp_path / "out", package="./cmd/not-the-service")
    found = refusals(line, STATIC, binary, tmp_path)
    assert any(words.startswith("main package: expected") and "not-the-service" in words for words in found)


def test_a_program_for_newer_processors_is_refused(line: Line, source: Path, tmp_path: Path) -> None:
    binary = build(line, source, STATIC, tmp_path / "out", GOAMD64="v3")
    assert refusals(line, STATIC, binary, tmp_path) == ["GOAMD64: expected v1, got v3"]


@pytest.mark.parametrize("folder", ["/tmp", "$ORIGIN/tmp", "/home/nonroot", "/proc/self/cwd"])  # noqa: S108
def test_a_search_path_in_the_source_is_refused(
    line: Line, source: Path, tmp_path: Path, folder: str
) -> None:
    main = source / line.plan.config.go.module / "cmd" / NAME / "path.go"
    shown = folder.replace("$", "\\$")
    main.write_text(f'package main\n\n// #cgo LDFLAGS: -Wl,-rpath,{shown}\nimport "C"\n', encoding="utf-8")
    binary = build(line, source, BASE, tmp_path / "out", CGO_LDFLAGS_ALLOW=".*")
    found = refusals(line, BASE, binary, tmp_path)
    assert any("PATH" in words and "no folder of the system's libraries" in words for words in found), found


def test_a_packed_program_with_build_info_glued_on_is_refused(line: Line, tmp_path: Path) -> None:
    compiled = line.run.root / line.run.binary(STATIC, NAME)
    with compiled.open("rb") as binary:
        section = ELFFile(binary).get_section_by_name(".go.buildinfo")
        assert section is not None
        (tmp_path / "buildinfo").write_bytes(section.data())
    (tmp_path / "packed").write_bytes(gzip.compress(compiled.read_bytes(), 1))
    # The compiler's cache does not know what an assembler includes.
    (tmp_path / "stub.c").write_text(f"// {tmp_path}{STUB}", encoding="utf-8")
    target = [
        "-target",
        "x86_64-linux-gnu",
        "-nostdlib",
        "-static",
        "-s",
        "-Wl,-e,main",
        "-Wl,--no-gc-sections",
    ]
    argv = [sys.executable, "-m", "ziglang", "cc", *target, "-o", "stub", "stub.c"]
    subprocess.run(argv, cwd=tmp_path, env={**os.environ}, check=True)
    found = refusals(line, STATIC, (tmp_path / "stub").read_bytes(), tmp_path)
    assert "it has 0 sections .gopclntab, not one, as Go's linker writes it" in found
