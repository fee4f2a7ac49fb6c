"""What git knows of a checkout."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from sealift import process
from sealift.errors import UsageError
from sealift.model.names import Version


def git(root: Path, *words: str) -> str:
    """Run git in a checkout; safe.directory lets root read a tree that belongs to somebody else."""
    argv = ["git", "-c", f"safe.directory={root}", "-C", str(root), *words]
    return process.run(argv).stdout


def top(folder: Path) -> Path:
    """Return the root of the checkout that a folder lies in."""
    try:
        return Path(git(folder, "rev-parse", "--show-toplevel").removesuffix("\n"))
    except process.ProgramFailedError as error:
        raise UsageError(
            f"{folder} is not in a git checkout", next_step="run this inside a clone of the repository"
        ) from error


def head(root: Path) -> str:
    """Return the commit that is checked out."""
    try:
        return git(root, "rev-parse", "--verify", "HEAD^{commit}").strip()
    except process.ProgramFailedError as error:
        raise UsageError(
            f"{root} has no commit to release", next_step="run this inside a clone of the repository"
        ) from error


def commit_time(root: Path, commit: str) -> int:
    """Return the committer's time, in seconds since 1970."""
    return int(git(root, "show", "-s", "--format=%ct", commit))


def changed(root: Path) -> tuple[str, ...]:
    """Return the files that differ from HEAD, new ones too, ignored ones not."""
    out = git(root, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames")
    return tuple(sorted(entry[3:] for entry in out.split("\0") if entry))


def file_of(root: Path, commit: str, name: str) -> str:
    """Return a file's text as it is in a commit."""
    return git(root, "show", f"{commit}:{name}")


def fingerprint(root: Path, commit: str, changed: tuple[str, ...]) -> str:
    """Name a tree: by its commit when nothing differs from it, else by a hash of what does."""
    if not changed:
        return commit
    whole = hashlib.sha256(commit.encode())
    for name in changed:
        path = root / name
        whole.update(f"\0{name}\0".encode())
        whole.update(path.read_bytes() if path.is_file() else b"gone")
    return whole.hexdigest()


def tag_commit(root: Path, tag: str) -> str | None:
    """Return the commit that a tag names, or None when there is no such tag."""
    said = git(root, "for-each-ref", "--format=%(objectname) %(*objectname)", f"refs/tags/{tag}").split()
    return said[-1] if said else None


def versions(root: Path, *, on_head: bool) -> tuple[Version, ...]:
    """Return the versions that tags name, on HEAD alone or on everything it was made from, ascending."""
    scope = "--points-at" if on_head else "--merged"
    found = []
    for tag in git(root, "tag", scope, "HEAD", "--list", "v*").split():
        try:
            found.append(Version.parse(tag))
        except UsageError:
            continue
    return tuple(sorted(found))


def clone(root: Path, commit: str, target: Path, *, overlay: tuple[str, ...] = ()) -> None:
    """Make a clean clone of one commit without tags, then copy ``overlay`` over it.

    Tags would change the version that Go stamps into a main module, and a linked worktree gets no
    stamp at all: so a clone, and without tags.
    """
    git(root, "clone", "--quiet", "--no-tags", "--no-checkout", str(root), str(target))
    git(target, "checkout", "--quiet", "--detach", commit)
    for name in overlay:
        source, copy = root / name, target / name
        if source.is_file() or source.is_symlink():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)
        else:
            copy.unlink(missing_ok=True)
