"""A world of equals keeps to them, whatever Debian has in the meantime."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift.model.names import Digest, Platform
from sealift.model.plan import Plan
from sealift.model.world import Base
from sealift.rehearsal import bases
from sealift.rehearsal.distroless import SUITES
from sealift.rehearsal.sigstore import LocalSigstore
from sealift.rehearsal.sigstore_trust import Profile, SigstorePorts
from sealift.rehearsal.stand_ins import world_bases
from sealift.tools.layout import Layout
from tests.unit.rehearsal.debs import write_deb, write_debs
from tests.unit.stations.things import plan

NAMES = SUITES["debian12"].names
PORTS = {field: number for number, field in enumerate(SigstorePorts.__dataclass_fields__, 30000)}


class Debian:
    """An archive that remembers how often it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = 0

    def fetch(self, _suite: str, platform: Platform, _cache: Path) -> Path:
        self.asked += 1
        place = self.folder / platform.slug
        return place if place.exists() else write_debs(place, NAMES)

    def update(self) -> None:
        for place in self.folder.iterdir():
            write_deb(place, "libc6", {"./usr/share/libc6": b"mended"})


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debian:
    debian = Debian(tmp_path / "debian")
    monkeypatch.setattr(bases, "fetch_debs", debian.fetch)
    return debian


def made(root: Path, played: Plan | None = None) -> Mapping[str, Base]:
    """Make a world's bases, where none is locked."""
    world = root / "world"
    ports = SigstorePorts(**PORTS)
    sigstore = LocalSigstore(
        folder=world / "sigstore", profile=Profile.PUBLIC, ports=ports, identity="", email=""
    )
    more: dict[str, Any] = {"cache": root / "cache", "host": "localhost:1", "env": {}}
    return world_bases(played or plan(), world, sigstore, **more)


def digests(found: Mapping[str, Base]) -> dict[str, Digest]:
    """Return each base's digest, which its layout and the world's registry have to hold."""
    for base in found.values():
        assert Layout(base.layout).index() == base.digest
        assert Layout(base.layout.parents[1] / "registry" / base.source.path).whole() == base.digest
    return {name: base.digest for name, base in found.items()}


def test_a_world_that_comes_back_after_an_update_of_debian_has_its_bases(
    tmp_path: Path, debian: Debian
) -> None:
    before, asked = digests(made(tmp_path)), debian.asked
    debian.update()
    after = digests(made(tmp_path))
    assert list(after.items()) == list(before.items())
    assert debian.asked == asked


def test_another_world_has_those_of_today(tmp_path: Path, debian: Debian) -> None:
    before = digests(made(tmp_path))
    debian.update()
    (tmp_path / "world").rename(tmp_path / "elsewhere")
    after = digests(made(tmp_path))
    assert (after["static"] == before["static"], after["base"] == before["base"]) == (True, False)


def change_a_blob(world: Path) -> None:
    largest = max((world / "bases" / "base" / "blobs" / "sha256").iterdir(), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"!")


def lose_the_marker(world: Path) -> None:
    (world / "bases" / "base" / "oci-layout").unlink()


def lose_the_layouts(world: Path) -> None:
    (world / "bases").rename(world / "gone")


def swap_the_layouts(world: Path) -> None:
    static, base, aside = (world / "bases" / name for name in ("static", "base", "aside"))
    static.rename(aside)
    base.rename(static)
    aside.rename(base)


def break_the_memory(world: Path) -> None:
    os.truncate(world / "equals.record", 20)


@pytest.mark.parametrize(
    "harm", [change_a_blob, lose_the_marker, lose_the_layouts, swap_the_layouts, break_the_memory]
)
def test_bases_that_are_damaged_are_assembled_again(
    tmp_path: Path, debian: Debian, harm: Callable[[Path], None]
) -> None:
    before, asked = digests(made(tmp_path)), debian.asked
    harm(tmp_path / "world")
    assert digests(made(tmp_path)) == before
    assert debian.asked > asked


@pytest.mark.usefixtures("debian")
def test_a_release_for_other_platforms_has_bases_for_them(tmp_path: Path) -> None:
    digests(made(tmp_path))
    config = msgspec.structs.replace(plan().config, platforms=(Platform("linux/riscv64"),))
    base = made(tmp_path, plan(config=config))["static"]
    assert list(Layout(base.layout).platforms(base.digest)) == ["linux/riscv64"]
