"""Prove: programs that were really compiled, each of something else than what was planned."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

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
from tests.attacks.catalogue import Attack, Kind, each, refusals
from tests.attacks.forging import AMD64

pytestmark = pytest.mark.programs

T = TypeVar("T")
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


def program(sample: str, artefact: T, words: str) -> Attack[T]:
    return Attack(kind=Kind.PROGRAM, sample=sample, artefact=artefact, stage="prove", words=words)


def blocked(attack: Attack[Any], line: Line, cell: Cell, binary: bytes, folder: Path) -> list[str]:
    """Put a binary in the place of the one that was compiled; return all that is wrong."""
    here = RunFolder(folder / "run")
    path = here.binary(cell, NAME)
    compiled = Compiled(path=path, sha256=here.publish(path, binary).sha256, go_version="", command=())
    below = line.world.bases[line.plan.variant(cell.variant).base]
    layout = Layout(below.layout)
    rootfs = Rootfs.from_layout(layout, layout.platforms(below.digest)[cell.platform], below.name)
    with pytest.raises(GateRefusedError) as caught:
        prove(cell, line.plan, compiled, rootfs, here, source=line.source)
    attack.assert_blocked_by(caught.value)
    return refusals(caught.value)


@each(program("another program of the same module, compiled", "not-the-service", "main package: expected"))
def test_prove_rejects_other_program_of_module(
    line: Line, source: Path, tmp_path: Path, attack: Attack[str]
) -> None:
    cmd = source / line.plan.config.go.module / "cmd"
    shutil.copytree(cmd / NAME, cmd / attack.artefact)
    binary = build(line, source, STATIC, tmp_path / "out", package=f"./cmd/{attack.artefact}")
    found = blocked(attack, line, STATIC, binary, tmp_path)
    assert any(words.startswith(attack.words) and attack.artefact in words for words in found)


@each(program("a program compiled for newer processors", "v3", "GOAMD64: expected v1, got v3"))
def test_prove_rejects_program_for_newer_processors(
    line: Line, source: Path, tmp_path: Path, attack: Attack[str]
) -> None:
    binary = build(line, source, STATIC, tmp_path / "out", GOAMD64=attack.artefact)
    assert blocked(attack, line, STATIC, binary, tmp_path) == [attack.words]


@each(
    *(
        program(f"#cgo LDFLAGS with -rpath,{folder}", folder, "is no folder of the system's libraries")
        for folder in ("/tmp", "$ORIGIN/tmp", "/home/nonroot", "/proc/self/cwd")  # noqa: S108
    )
)
def test_prove_rejects_search_path_in_source(
    line: Line, source: Path, tmp_path: Path, attack: Attack[str]
) -> None:
    main = source / line.plan.config.go.module / "cmd" / NAME / "path.go"
    shown = attack.artefact.replace("$", "\\$")
    main.write_text(f'package main\n\n// #cgo LDFLAGS: -Wl,-rpath,{shown}\nimport "C"\n', encoding="utf-8")
    binary = build(line, source, BASE, tmp_path / "out", CGO_LDFLAGS_ALLOW=".*")
    found = blocked(attack, line, BASE, binary, tmp_path)
    assert any("PATH" in words and attack.words in words for words in found), found


@each(
    program(
        "a packed program with the service's build info",
        STUB,
        "it has 0 sections .gopclntab, not one, as Go's linker writes it",
    )
)
def test_prove_rejects_packed_program_with_build_info(
    line: Line, tmp_path: Path, attack: Attack[str]
) -> None:
    compiled = line.run.root / line.run.binary(STATIC, NAME)
    with compiled.open("rb") as binary:
        section = ELFFile(binary).get_section_by_name(".go.buildinfo")
        assert section is not None
        (tmp_path / "buildinfo").write_bytes(section.data())
    (tmp_path / "packed").write_bytes(gzip.compress(compiled.read_bytes(), 1))
    # The compiler's cache does not know what an assembler includes.
    (tmp_path / "stub.c").write_text(f"// {tmp_path}{attack.artefact}", encoding="utf-8")
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
    found = blocked(attack, line, STATIC, (tmp_path / "stub").read_bytes(), tmp_path)
    assert attack.words in found
