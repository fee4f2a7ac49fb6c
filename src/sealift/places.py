"""Paths for programs that read a path as a part of a text: a reference, an address, a list, a configuration.

There the characters of a folder's name have a meaning of their own: a space, a colon, a comma, a quote, a
capital letter. Where the text has a way to quote, it is used; else a link with a plain name leads there.
"""

from __future__ import annotations

import atexit
import grp
import hashlib
import os
import pwd
import re
import secrets
import shlex
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sealift.errors import UsageError

_PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
# Fixed, not TMPDIR: a lasting link keeps its name in every environment, and these names are short.
_PARENTS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - below it is a folder of this user's own
# What ends a line, and what Python and git put where a name is not UTF-8.
_UNREADABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffd]")


def plain(folder: Path, *, longest: int = 1000) -> Path:
    """Return a plain path to a folder of at most ``longest`` characters: its own, or a lasting link's."""
    whole = str(folder.absolute())
    if _PLAIN.fullmatch(whole) and len(whole) <= longest:
        return Path(whole)
    link = _links() / hashlib.sha256(os.fsencode(whole)).hexdigest()[:12]
    fresh = link.with_name(f"{link.name}.{secrets.token_hex(4)}")
    fresh.symlink_to(whole)
    fresh.replace(link)
    return link


@contextmanager
def plainly(folder: Path) -> Iterator[Path]:
    """Give a plain path to a folder while the block runs: its own, or a link's."""
    whole = folder.absolute()
    if _PLAIN.fullmatch(str(whole)):
        yield whole
    else:
        with linked(whole) as link:
            yield link


@contextmanager
def linked(folder: Path) -> Iterator[Path]:
    """Give a link to a folder while the block runs; its path can also be a part of an image's reference."""
    link = _links() / secrets.token_hex(8)
    link.symlink_to(folder.absolute())
    try:
        yield link
    finally:
        link.unlink(missing_ok=True)


def own_folder(kind: str) -> Path:
    """Make an empty folder that this user alone can use; it goes with this process."""
    parent, day = _links(), 24 * 3600
    for old in parent.glob(f"{kind}-*-*"):
        # What a process that was killed has left; one in another container has a number of its own.
        with suppress(FileNotFoundError):
            if not Path("/proc", old.name.split("-")[1]).exists() and time.time() - old.stat().st_mtime > day:
                shutil.rmtree(old, ignore_errors=True)
    folder = parent / f"{kind}-{os.getpid()}-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def is_own_folder(place: Path, kind: str) -> bool:
    """Tell whether ``own_folder`` made a folder of this kind there."""
    return place.parent == _links() and place.name.startswith(f"{kind}-") and place.is_dir()


def _links() -> Path:
    """Return the folder of this user's links; one that others can change is not used."""
    for parent in _PARENTS:
        folder = Path(parent, f"sealift-{os.getuid()}")
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
                return folder
    raise UsageError(
        f"no folder sealift-{os.getuid()} of this user's own can be made in {', '.join(_PARENTS)}",
        means="links with plain names are kept there for programs that cannot read every path",
        next_step=f"ls -ld /tmp/sealift-{os.getuid()} shows its owner, who can remove it",
    )


def ours_alone(folder: Path) -> bool:
    """Tell whether, beside root, only this user can change what is in a folder, or what its path leads to."""
    us, whole, real = os.getuid(), folder.absolute(), folder.resolve()
    try:
        there = {place: place.lstat() for place in (whole, *whole.parents, real, *real.parents)}
        group = _own_group()
    except OSError:
        return False
    for place, found in there.items():
        if found.st_uid not in (0, us):
            return False
        others = (
            0 if stat.S_ISLNK(found.st_mode) else found.st_mode & (0o022 if found.st_gid != group else 0o002)
        )
        # In a sticky folder nobody else can remove or rename what is ours.
        if others and (place == real or not found.st_mode & stat.S_ISVTX):
            return False
    return there[real].st_uid == us and stat.S_ISDIR(there[real].st_mode)


def _own_group() -> int:
    """Return the group that is this user's alone, as Debian gives each user one; -1 where there is none."""
    try:
        user = pwd.getpwuid(os.getuid())
        group = grp.getgrgid(user.pw_gid)
    except KeyError:
        return -1
    return group.gr_gid if group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name} else -1


def readable(folder: Path, what: str, *, on_path: bool = False) -> Path:
    """Return a folder whose name every program and report can carry, or raise UsageError.

    One that is to stand ``on_path`` has no colon: PATH has no way to quote it.
    """
    name = os.fspath(folder)
    if _UNREADABLE.search(name):
        means = "its name holds a line break or another control character, or is not UTF-8"
    elif on_path and os.pathsep in name:
        means = f"programs in it are found by PATH, where {os.pathsep!r} ends a folder's name"
    else:
        return folder
    raise UsageError(f"{what} cannot be in {name!a}", means=means, next_step="use a folder of another name")


def csv_field(field: str) -> str:
    """Quote one field of a list with commas, as buildx and podman read it (RFC 4180)."""
    return '"' + field.replace('"', '""') + '"' if set(field) & set(',"\r\n') else field


def shell_word(place: Path | str) -> str:
    """Quote a path for a command that is shown, to be copied into a shell."""
    return shlex.quote(os.fspath(place))
