"""What is in an image: counted in its layers and in the files that they make together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sealift.compare.values import Contents, Size
from sealift.elf.layer import read_layer
from sealift.elf.rootfs import Entry, Rootfs
from sealift.model.names import Digest
from sealift.tools.layout import Layout

FOLDERS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
SHELLS = ("sh", "ash", "bash", "busybox", "dash", "ksh", "zsh")
PACKAGE_MANAGERS = ("apk", "apt", "apt-get", "dnf", "dpkg", "rpm", "yum")
DPKG, DISTROLESS, APK = "/var/lib/dpkg/status", "/var/lib/dpkg/status.d/", "/lib/apk/db/installed"
SETUID, EXECUTE = 0o4000, 0o111


def contents(base: tuple[Layout, Digest], image: tuple[Layout, Digest]) -> Contents:
    """Count one platform's image; ``base`` is the same without the service."""
    rootfs = Rootfs.from_layout(*image)
    entries = tuple(rootfs.entries())
    files = [entry for entry in entries if entry.kind == "file"]
    return Contents(
        base=size(*base),
        total=size(*image),
        files=len(files),
        packages=packages(rootfs, entries),
        programs=sum(is_program(rootfs, entry) for entry in files),
        setuid=sum(bool(entry.mode & SETUID) for entry in files),
        shells=present(rootfs, SHELLS),
        package_managers=present(rootfs, PACKAGE_MANAGERS),
    )


def size(layout: Layout, manifest: Digest) -> Size:
    """Add up the layers as they are sent, and their files as they lie on the disk.

    A file of one layer that a higher one replaces takes its place on the disk all the same.
    """
    layers = layout.layers(manifest)
    read = (read_layer(layout.read(layer.digest), str(layer.digest)) for layer in layers)
    unpacked = sum(member.size for layer in read for member in layer.content.members if member.kind == "file")
    return Size(compressed=sum(layer.size for layer in layers), unpacked=unpacked)


def is_program(rootfs: Rootfs, entry: Entry) -> bool:
    """Tell whether a file can be executed: no shared library, no script whose interpreter is not there."""
    name = entry.path.rpartition("/")[2]
    if not entry.mode & EXECUTE or name.endswith(".so") or ".so." in name:
        return False
    data = rootfs.read(entry.path)
    if data.startswith(b"#!"):
        words = data[2:].split(b"\n", 1)[0].split()
        return bool(words) and rootfs.resolve(words[0].decode(errors="replace")) is not None
    return data.startswith(b"\x7fELF")


def present(rootfs: Rootfs, names: Sequence[str]) -> tuple[str, ...]:
    """Name the programs that a process in the image would find."""
    return tuple(name for name in names if any(rootfs.resolve(f"{folder}/{name}") for folder in FOLDERS))


def packages(rootfs: Rootfs, entries: Iterable[Entry]) -> int:
    """Count the packages that the image's own lists name: dpkg's, distroless', apk's."""
    listed = [entry.path for entry in entries if entry.path.startswith(DISTROLESS)]
    alone = sum(not path.endswith(".md5sums") for path in listed)
    return alone + _lines(rootfs, DPKG, b"Package: ") + _lines(rootfs, APK, b"P:")


def _lines(rootfs: Rootfs, path: str, start: bytes) -> int:
    if rootfs.resolve(path) is None:
        return 0
    return sum(line.startswith(start) for line in rootfs.read(path).splitlines())
