"""What a release has on this machine while it runs, and what is left of it afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sealift.provision.cache import cache_folder
from sealift.rehearsal.github.store import Store
from sealift.services.ports import port_is_taken
from sealift.tools import engine
from sealift.tools.registry import BUNDLE_TYPE
from tests.rehearsal.playing import Desk

# What tells each service from the others in its command line.
_WORDS = {
    "registry": ("olareg", "--api-delete"),
    "layouts-registry": ("olareg", "--store-ro"),
    "buildkitd": ("buildkitd", "--config"),
    "github": ("sealift.rehearsal.github",),
    "issuer": ("sealift.rehearsal.issuer", "--claims"),
    "ctlog": ("ctlog", "-origin"),
    "fulcio": ("fulcio", "serve"),
    "rekor1": ("rekor1", "serve"),
    "tsa": ("tsa", "-chain"),
    "supervisor": ("supervisor.py",),
}


@dataclass(frozen=True)
class Process:
    """One process and its command line."""

    pid: int
    parent: int
    words: str


def processes() -> Iterator[Process]:
    """Yield everything that runs."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        yield Process(int(folder.name), int(stat.rpartition(")")[2].split()[1]), words)


def below(pid: int) -> list[Process]:
    """Return the descendants of a process."""
    children: dict[int, list[Process]] = {}
    for process in processes():
        children.setdefault(process.parent, []).append(process)
    found, queue = [], [pid]
    while queue:
        new = children.get(queue.pop(), [])
        found += new
        queue += [process.pid for process in new]
    return found


def service_pid(release: int, service: str) -> int | None:
    """Return the process of a release's service; None when it is not up, or gone already."""
    words = _WORDS[service]
    return next((p.pid for p in below(release) if all(word in p.words for word in words)), None)


@dataclass(frozen=True)
class Traces:
    """Where a release in one world of a desk leaves what it makes."""

    desk: Desk
    world: str

    @property
    def folder(self) -> Path:
        """The world's own folder."""
        return self.desk.folder / "build" / "rehearsal" / self.world

    def stray(self) -> list[str]:
        """Name what is left over: processes, ports, containers, mounts, files that are not whole."""
        return [
            *(f"process {p.pid}: {p.words[:80]}" for p in processes() if str(self.desk.folder) in p.words),
            *(f"port {port}" for port in self._ports() if port_is_taken(port)),
            *(f"container {name}" for name in self._containers()),
            *(f"mount {place}" for place in mounts() if str(self.desk.folder) in place),
            *(f"half a file: {path.name}" for path in self._broken()),
        ]

    def tags(self) -> dict[str, set[str]]:
        """Return each public repository's tags, as its folder has them."""
        found: dict[str, set[str]] = {}
        for index in self.folder.glob("registry/health-caretaker*/index.json"):
            manifests = json.loads(index.read_bytes()).get("manifests") or []
            names = {(m.get("annotations") or {}).get("org.opencontainers.image.ref.name") for m in manifests}
            found[index.parent.name] = {name for name in names if name}
        return found

    def bundles(self) -> int:
        """Count what is attached to the release's images."""
        return sum(map(_is_bundle, self.folder.glob("registry/health-caretaker*/blobs/sha256/*")))

    def published(self) -> list[str]:
        """Return the tags of the GitHub releases that everybody sees."""
        return [r.tag_name for r in Store(self.folder / "github").releases() if not r.draft]

    def _ports(self) -> list[int]:
        files = self.folder.glob("**/ports.json")
        return [port for file in files for port in json.loads(file.read_bytes()).values()]

    def _containers(self) -> list[str]:
        """Name this world's containers, running or not: their images were pulled from one of its ports."""
        found = engine.find(cache_folder() / "locks", store=cache_folder().resolve() / "podman")
        lines = found.call("ps", "--all", "--format={{.Names}} {{.Image}}").stdout.splitlines()
        ours = tuple(f" localhost:{port}/" for port in self._ports())
        return [line.split()[0] for line in lines if any(host in line for host in ours)]

    def _broken(self) -> Iterator[Path]:
        ours = [path for path in self.folder.glob("**/*.json") if "home" not in path.parts]
        for path in [*ours, *self.desk.latest.glob("evidence/**/*.json")]:
            try:
                json.loads(path.read_bytes())
            except ValueError:
                yield path


def mounts() -> list[str]:
    """Return where something is mounted."""
    return [line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]


def _is_bundle(blob: Path) -> bool:
    if blob.stat().st_size > 1 << 14:
        return False
    try:
        manifest = json.loads(blob.read_bytes())
    except (ValueError, UnicodeDecodeError):
        return False
    return (
        isinstance(manifest, dict) and manifest.get("artifactType") == BUNDLE_TYPE and "subject" in manifest
    )
