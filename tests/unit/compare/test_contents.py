"""What is counted in an image, of layers made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.compare.contents import contents, is_program
from sealift.compare.kinds import Service, on_top
from sealift.compare.running import memory_file, rss
from sealift.elf.rootfs import Rootfs
from sealift.model.names import Platform
from sealift.rehearsal.oci_writer import LayerTar

ELF = b"\x7fELF"
STATUS = b"Package: dash\nStatus: install ok installed\n\nPackage: apt\nDescription: Package: manager\n"


def test_a_full_system_with_the_service(tmp_path: Path) -> None:
    system = (
        LayerTar().file("usr/bin/dash", ELF + b"d" * 96, 0o755).file("usr/bin/su", ELF + b"s" * 46, 0o4755)
    )
    system = system.file("usr/bin/apt-get", b"a", 0o755).file("var/lib/dpkg/status", STATUS)
    system = system.file("lib/libc.so.6", b"c" * 10, 0o755)
    service = Service(path="/app", binary=ELF + b"x" * 996, config={"Entrypoint": ["/app"]})
    made = on_top("debian", [system.pack()], service, Platform("linux/amd64"), tmp_path)
    found = contents(made.base, made.image)
    assert found.base.unpacked == 161 + len(STATUS)
    assert found.total.unpacked == found.base.unpacked + 1000
    assert found.total.compressed > found.base.compressed > 0
    assert (found.files, found.packages, found.programs, found.setuid) == (6, 2, 3, 1)
    assert found.shells == ("dash",)
    assert found.package_managers == ("apt-get",)
    assert made.image[0].config(made.image[1])["config"] == {"Entrypoint": ["/app"]}


@pytest.mark.parametrize(
    ("files", "count"),
    [
        (["var/lib/dpkg/status.d/netbase", "var/lib/dpkg/status.d/netbase.md5sums"], 1),
        (["lib/apk/db/installed"], 1),
        (["etc/hostname"], 0),
    ],
)
def test_packages_are_counted_in_each_ones_own_list(tmp_path: Path, files: list[str], count: int) -> None:
    layer = LayerTar()
    for path in files:
        layer.file(path, b"P:musl\nV:1\n")
    service = Service(path="/app", binary=b"x", config={})
    made = on_top("alpine", [layer.pack()], service, Platform("linux/amd64"), tmp_path)
    found = contents(made.base, made.image)
    assert found.packages == count
    assert found.shells == found.package_managers == ()


@pytest.mark.parametrize(
    ("path", "mode", "data", "true"),
    [
        ("usr/bin/perl", 0o755, ELF, True),
        ("usr/bin/perl", 0o711, ELF, True),
        ("usr/bin/perl", 0o644, ELF, False),
        ("lib/libc.so.6", 0o755, ELF, False),
        ("lib/plugin.so", 0o755, ELF, False),
        ("etc/copyright", 0o755, b"words", False),
        ("usr/bin/script", 0o755, b"#! /bin/there -e\n", True),
        ("usr/bin/script", 0o755, b"#!/bin/absent\n", False),
        ("usr/bin/script", 0o755, b"#!", False),
    ],
)
def test_what_can_be_executed(path: str, mode: int, data: bytes, *, true: bool) -> None:
    rootfs = Rootfs([LayerTar().file("bin/there", b"").file(path, data, mode).pack().blob], "here")
    entry = rootfs.resolve(path)
    assert entry is not None
    assert is_program(rootfs, entry) == true


def test_where_a_cgroup_counts_memory() -> None:
    first = "5:memory:/libpod_parent/x\n4:cpu,cpuacct:/other\n0::/y\n"
    assert str(memory_file(first)) == "/sys/fs/cgroup/memory/libpod_parent/x/memory.usage_in_bytes"
    assert str(memory_file("0::/machine/x\n")) == "/sys/fs/cgroup/machine/x/memory.current"


def test_a_process_memory_is_read_in_bytes() -> None:
    assert rss("Name:\tapp\nVmHWM:\t  90 kB\nVmRSS:\t  80 kB\n") == 80 * 1024
