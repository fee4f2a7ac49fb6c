"""Policy: the files of the commit that decide what a release lets through, and what has changed in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sealift.errors import UsageError
from sealift.model import bases, config, exceptions, policy
from sealift.model.config import Config
from sealift.model.exceptions import Exception_
from sealift.model.names import Version
from sealift.tools import git

CONFIG, EXCEPTIONS, LOCK = "ci/release.yaml", "ci/exceptions.yaml", "ci/bases.lock.yaml"
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Files:
    """What the files say, each in its own type."""

    config: Config
    waivers: tuple[Exception_, ...]
    lock: bases.Lock


def read(root: Path, commit: str | None) -> Files:
    """Read the files of a commit, or without one those of the working tree; two of them may be absent."""
    return Files(
        config=config.parse(_text(root, commit, CONFIG), root / CONFIG),
        waivers=exceptions.parse(_text(root, commit, EXCEPTIONS, may_lack=True), root / EXCEPTIONS),
        lock=bases.parse(_text(root, commit, LOCK, may_lack=True), root / LOCK),
    )


def changes(root: Path, now: Files, last: Version | None, commit: str | None) -> policy.Changes:
    """Compare the files with those of the last release; what cannot be read there is unknown."""
    if commit is None:
        return policy.Changes()
    found: list[policy.Change] = []

    def compare(
        name: str, parse: Callable[[str, Path], T], write: Callable[[T], policy.Policy], new: T
    ) -> None:
        try:
            old = write(parse(_text(root, commit, name, may_lack=name != CONFIG), Path(name)))
        except UsageError as error:
            why = error.happened.partition("\n")[0]
            found.append(policy.Change(key=name, before=why, now=None, verdict="unknown"))
        else:
            found.extend(policy.changes(old, write(new)))

    compare(CONFIG, config.parse, policy.of_config, now.config)
    compare(EXCEPTIONS, exceptions.parse_former, policy.of_waivers, now.waivers)
    compare(LOCK, bases.parse, policy.of_lock, now.lock)
    return policy.Changes(since=str(last), changes=tuple(found))


def unknown(why: str) -> policy.Changes:
    """Say that there may be an earlier release which is not here."""
    return policy.Changes(changes=(policy.Change(key="ci", before=why, now=None, verdict="unknown"),))


def last_release(version: Version, before: Iterable[Version]) -> Version | None:
    """Return the release whose users get this version next: for a full one, the last full one."""
    known = sorted(before)
    full = [one for one in known if not one.prerelease]
    return (full[-1] if full and not version.prerelease else known[-1]) if known else None


def _text(root: Path, commit: str | None, name: str, *, may_lack: bool = False) -> str:
    if may_lack and not git.has_file(root, commit, name):
        return ""
    return git.working_file(root, name) if commit is None else git.file_of(root, commit, name)
