"""The processes of a release: which there are, and which service each one is."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

_SUPERVISOR = "supervisor.py"
# What tells each service from the others in its command line.
_WORDS = {
    "registry": ("olareg", "--api-delete"),
    "layouts-registry": ("olareg", "--store-ro"),
    "buildkitd": ("buildkitd", "--config"),
    "github": ("sealift.rehearsal.github",),
    "issuer": ("sealift.rehearsal.issuer", "--claims"),
    "email-issuer": ("sealift.rehearsal.issuer", "--email"),
    "ctlog": ("ctlog", "-origin"),
    "fulcio": ("fulcio", "serve"),
    "rekor1": ("rekor1", "serve"),
    "rekor-server": ("rekor-server", "serve"),
    "tsa": ("tsa", "-chain"),
    "supervisor": (_SUPERVISOR,),
    "guard": (_SUPERVISOR,),
}
# Both have the same command line, and each its own log.
_LOGS = {"supervisor": "supervisor.log", "guard": "guard.log"}


@dataclass(frozen=True)
class Process:
    """One process and its command line."""

    pid: int
    parent: int
    words: str

    def environment(self) -> str:
        """Return what it was started with; nothing where it is gone, or somebody else's."""
        return _text(Path(f"/proc/{self.pid}/environ"))

    @property
    def log(self) -> str:
        """The name of the file that it writes its errors to."""
        try:
            return Path(f"/proc/{self.pid}/fd/2").readlink().name
        except OSError:
            return ""

    def is_service(self, name: str) -> bool:
        """Whether it is what a release calls by this name."""
        named = all(word in self.words for word in _WORDS[name])
        return named and _LOGS.get(name) in (None, self.log)


def processes() -> Iterator[Process]:
    """Yield everything that runs."""
    for folder in Path("/proc").glob("[0-9]*"):
        words, stat = _text(folder / "cmdline"), _text(folder / "stat")
        if stat:
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
    return next((p.pid for p in below(release) if p.is_service(service)), None)


def runs_below(pid: int, words: Collection[str]) -> bool:
    """Tell whether a descendant of a process has all of these words in its command line."""
    return any(set(words) <= set(p.words.split()) for p in below(pid))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""
