"""crane and regctl read in what was released what we do. Smoke compares the engine, in every release."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sealift.elf.rootfs import Rootfs
from sealift.line import Line
from sealift.model.names import Digest, Platform
from sealift.process import run
from sealift.stations.readings import files, in_archive
from sealift.tools.layout import Layout
from sealift.tools.regctl import regctl
from tests.attacks.forging import AMD64, ARM64

pytestmark = pytest.mark.programs

BOTH = [(variant, platform) for variant in ("static", "base") for platform in (AMD64, ARM64)]


def ours(line: Line, variant: str, platform: Platform) -> tuple[str, Layout, Digest]:
    built = line.built(variant)
    digest = built.platforms[str(platform)].digest
    return f"{line.world.layouts}/{variant}@{digest}", Layout(line.run.root / built.layout), digest


@pytest.mark.parametrize(("variant", "platform"), BOTH)
def test_crane_unpacks_same_files(line: Line, tmp_path: Path, variant: str, platform: Platform) -> None:
    reference, layout, digest = ours(line, variant, platform)
    out = tmp_path / "image.tar"
    run(["crane", "export", f"--platform={platform}", reference, out])
    theirs, wanted = in_archive(out), files(Rootfs.from_layout(layout, digest))
    assert {p: f for p, f in theirs.items() if f != wanted.get(p)} == {}
    # The program that unpacks makes a folder that no layer names.
    assert {p for p in wanted.keys() - theirs.keys() if wanted[p][0] != "dir"} == set()
    assert json.loads(run(["crane", "config", f"--platform={platform}", reference]).stdout) == layout.config(
        digest
    )


@pytest.mark.parametrize(("variant", "platform"), BOTH)
def test_regctl_reads_same_configuration(line: Line, variant: str, platform: Platform) -> None:
    reference, layout, digest = ours(line, variant, platform)
    plain = [line.world.layouts.partition("/")[0]]
    told = regctl(
        "image", "config", reference, "--format={{json .}}", plain_http=plain, env=line.world.env
    ).stdout
    theirs: dict[str, Any] = json.loads(told)
    wanted = layout.config(digest)
    assert {key: theirs.get(key) for key in wanted} == wanted
