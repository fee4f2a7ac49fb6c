"""Other readers of what was released see what ours does: crane, regctl and the container engine."""

from __future__ import annotations

import json
import secrets
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sealift.elf.rootfs import Rootfs
from sealift.line import Line
from sealift.model.names import Digest, Platform
from sealift.process import run
from sealift.tools.layout import Layout
from sealift.tools.regctl import regctl
from tests.attacks.forging import AMD64, ARM64

pytestmark = pytest.mark.programs

File = tuple[str, int, int, int, int, str]
# What an engine puts into a container, or changes in it, when it makes one.
OF_ENGINES = frozenset(
    ["/dev", "/proc", "/sys", "/run", "/etc", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"]
)
BOTH = [(variant, platform) for variant in ("static", "base") for platform in (AMD64, ARM64)]


def ours(line: Line, variant: str, platform: Platform) -> tuple[str, Layout, Digest]:
    built = line.built(variant)
    digest = built.platforms[str(platform)].digest
    return f"{line.world.layouts}/{variant}@{digest}", Layout(line.run.root / built.layout), digest


def files(rootfs: Rootfs) -> Mapping[str, File]:
    return {e.path: (e.kind, e.mode, e.uid, e.gid, e.size, e.target) for e in rootfs.entries()}


def unpacked(path: Path) -> dict[str, File]:
    kinds = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink"}
    with tarfile.open(path) as tar:
        found = {
            f"/{info.name.removeprefix('./').strip('/')}": (
                *(kinds.get(info.type, str(info.type)), info.mode & 0o7777, info.uid, info.gid),
                *(info.size, info.linkname),
            )
            for info in tar
        }
    return {name: file for name, file in found.items() if name not in ("/", "/.")}


@pytest.mark.parametrize(("variant", "platform"), BOTH)
def test_crane_unpacks_what_ours_does(line: Line, tmp_path: Path, variant: str, platform: Platform) -> None:
    reference, layout, digest = ours(line, variant, platform)
    out = tmp_path / "image.tar"
    run(["crane", "export", f"--platform={platform}", reference, out])
    theirs, wanted = unpacked(out), files(Rootfs.from_layout(layout, digest))
    assert {p: f for p, f in theirs.items() if f != wanted.get(p)} == {}
    # The program that unpacks makes a folder that no layer names.
    assert {p for p in wanted.keys() - theirs.keys() if wanted[p][0] != "dir"} == set()
    assert json.loads(run(["crane", "config", f"--platform={platform}", reference]).stdout) == layout.config(
        digest
    )


@pytest.mark.parametrize(("variant", "platform"), BOTH)
def test_regctl_reads_what_ours_does(line: Line, variant: str, platform: Platform) -> None:
    reference, layout, digest = ours(line, variant, platform)
    plain = [line.world.layouts.partition("/")[0]]
    told = regctl(
        "image", "config", reference, "--format={{json .}}", plain_http=plain, env=line.world.env
    ).stdout
    theirs: dict[str, Any] = json.loads(told)
    wanted = layout.config(digest)
    assert {key: theirs.get(key) for key in wanted} == wanted


@pytest.mark.parametrize(("variant", "platform"), BOTH)
def test_the_engine_unpacks_what_ours_does(
    line: Line, tmp_path: Path, variant: str, platform: Platform
) -> None:
    reference, layout, digest = ours(line, variant, platform)
    engine, name, out = line.engine(), f"sealift-read-{secrets.token_hex(4)}", tmp_path / "image.tar"
    engine.pull(reference, platform)
    try:
        shown = engine.settings(reference)
        wanted_settings = layout.config(digest)["config"]
        for key in ("User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "ExposedPorts"):
            assert (shown.get(key) or None) == wanted_settings.get(key), key
        engine.call("create", f"--name={name}", f"--platform={platform}", *engine.run_options, reference)
        engine.call("export", f"--output={out}", name)
    finally:
        run(engine.removal(name), check=False)
        run(engine.image_removal(reference), check=False)
    theirs, wanted = unpacked(out), files(Rootfs.from_layout(layout, digest))
    assert {p: f for p, f in wanted.items() if p not in OF_ENGINES and theirs.get(p) != f} == {}
    more = {p for p in theirs.keys() - wanted.keys() if not p.startswith(("/dev", "/proc", "/sys", "/run"))}
    assert more <= OF_ENGINES
