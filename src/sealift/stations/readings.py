"""How a container engine, another reader of the same bytes, reads an image: its settings and its files.

Both are compared with our own reading of the layout, which the image stage has compared with the plan.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from sealift.elf.rootfs import Rootfs
from sealift.model.names import Digest, Platform
from sealift.model.plan import Plan
from sealift.oci import documents
from sealift.oci.documents import JSON, without_zero
from sealift.stations.gate import Looks
from sealift.tools.engine import Engine
from sealift.tools.layout import Layout

# Kind, mode, uid, gid, target of a link, and a file's hash.
File = tuple[str, int, int, int, str, str]
KINDS: Mapping[bytes, str] = {
    tarfile.REGTYPE: "file",
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}
_KINDS_OF_MODE: Mapping[int, str] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
# What engines put into a container, or change in it, when they make one.
MADE = frozenset(["/.dockerenv", "/etc", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"])
MADE_BELOW = ("/dev", "/proc", "/sys", "/run")
MOST_NAMED = 12


def look_settings(
    looks: Looks, plan: Plan, platform: Platform, engine: Engine, image: str, ours: tuple[Layout, Digest]
) -> None:
    """Compare everything that the engine shows of an image with its configuration and the plan."""
    layout, digest = ours
    manifest = documents.read_manifest(layout.read(digest), f"the manifest {digest}").value
    raw = layout.read(manifest.config.digest)
    config = documents.read_configuration(raw, f"the configuration of {digest}").raw
    planned = {"User": plan.config.image.user, "Entrypoint": [f"/{plan.config.service}"], "Cmd": None}
    wanted = _set(config["config"] | planned)
    reading = engine.reading(image)
    # An engine that shows no variant cannot contradict it.
    shown = {"variant": platform.variant} | reading.platform
    looks.equal(f"platform that {engine.name} reads", expected=platform, got=Platform.of_oci(shown))
    looks.equal(f"layers that {engine.name} reads", expected=config["rootfs"]["diff_ids"], got=reading.layers)
    got = _set(reading.settings)
    for key in sorted({*wanted, *got}):
        if key in got or engine.shows(key):
            looks.equal(f"{key} that {engine.name} reads", expected=wanted.get(key), got=got.get(key))


def _set(settings: JSON) -> JSON:
    """Return what is set; zero within a health check is not set, either."""
    check = without_zero(settings.get("Healthcheck") or {})
    return without_zero(settings | {"Healthcheck": check})


def look_files(looks: Looks, engine: Engine, container: str, ours: tuple[Layout, Digest]) -> None:
    """Compare what the engine unpacked for a container, which may have ended, with the layout's files."""
    with engine.unpacked(container) as place:
        theirs = in_folder(place) if place.is_dir() else in_archive(place)
    wanted = files(Rootfs.from_layout(*ours))
    differing = sorted({path for path, _ in wanted.items() ^ theirs.items()})
    odd = [
        f"{path}: expected {wanted.get(path, 'nothing')}, got {theirs.get(path, 'nothing')}"
        for path in differing
        if path not in MADE and not path.startswith(MADE_BELOW)
    ]
    for words in odd[:MOST_NAMED]:
        looks.refused(f"{engine.name} unpacked {words}")
    if not odd:
        looks.passed(f"{engine.name} unpacked {len(wanted)} files and folders as planned")


def files(rootfs: Rootfs) -> dict[str, File]:
    """Return every file of an image as we read it."""

    def hashed(path: str) -> str:
        return hashlib.sha256(rootfs.read(path)).hexdigest()

    return {
        e.path: (e.kind, e.mode, e.uid, e.gid, e.target, hashed(e.path) if e.kind == "file" else "")
        for e in rootfs.entries()
    }


def in_archive(archive: Path) -> dict[str, File]:
    """Return every file of an exported container; a hard link is the file that it names."""
    found: dict[str, File] = {}
    with tarfile.open(archive) as tar:
        for path, info in _named(tar):
            if info.islnk():
                found[path] = found[_path(info.linkname)]
                continue
            content = tar.extractfile(info) if info.isreg() else None
            digest = hashlib.sha256(content.read()).hexdigest() if content else ""
            kind, mode = KINDS.get(info.type, repr(info.type)), info.mode & 0o7777
            target = info.linkname if info.issym() else ""
            found[path] = (kind, mode, info.uid, info.gid, target, digest)
    return found


def in_folder(root: Path) -> dict[str, File]:
    """Return every file below a folder, and follow no link."""
    found: dict[str, File] = {}
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = os.path.join(folder, name)  # noqa: PTH118 - a thousand files in each image
            status = os.lstat(path)
            kind = _KINDS_OF_MODE.get(stat.S_IFMT(status.st_mode), oct(status.st_mode))
            target = os.readlink(path) if kind == "symlink" else ""  # noqa: PTH115
            digest = _hash_of(path) if kind == "file" else ""
            mode = stat.S_IMODE(status.st_mode)
            found[path[len(str(root)) :]] = (kind, mode, status.st_uid, status.st_gid, target, digest)
    return found


def _hash_of(path: str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123
        return hashlib.sha256(file.read()).hexdigest()


def _named(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for info in tar:
        if (path := _path(info.name)) != "/":
            yield path, info


def _path(name: str) -> str:
    return "/" + "/".join(step for step in name.split("/") if step not in ("", "."))
