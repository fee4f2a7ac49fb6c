"""Records in a cache that only this user can have written: each carries a code of the user's own key.

What others put into a cache (another user, another job, a cache that CI restored) has no such code, so it
does not count. Which content a name stands for is a part of what the code is of: a record under another name
counts for nothing.

    write(cache / "bases.record", "bases 12ab", digests)
    read(cache / "bases.record", "bases 12ab")  # the same bytes, or None
"""

from __future__ import annotations

import functools
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from sealift.console import say
from sealift.model.codec import publish
from sealift.places import ours_alone, shell_word

KEY_BYTES = 32
# Where no key can be kept, nothing that an earlier run recorded counts.
_of_this_run = secrets.token_bytes(KEY_BYTES)


def write(path: Path, name: str, content: bytes) -> None:
    """Publish a record, with its code before it."""
    publish(path, f"{code(name, content)}\n".encode() + content)


def read(path: Path, name: str) -> bytes | None:
    """Return what this user recorded under a name; None where there is nothing that counts."""
    try:
        got, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if hmac.compare_digest(got, code(name, content).encode()) else None


def key() -> bytes:
    """Return this user's key, made at its first use; another one in each run where none can be kept."""
    state, lost = (
        Path(os.environ.get("XDG_STATE_HOME", "")),
        "what earlier runs left in the cache is not used",
    )
    try:
        folder = (state if state.is_absolute() else Path.home() / ".local" / "state") / "sealift"
        if not folder.is_absolute():
            raise OSError(f"HOME is no absolute path: {Path.home()}")  # noqa: TRY301 - said as the others
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if ours_alone(folder):
            return _read_key(folder / "key")
    except (OSError, RuntimeError) as error:  # Path.home() raises RuntimeError where there is none
        _say_once(f"no key can be kept ({error}), so {lost}")
    else:
        _say_once(
            f"others can write {shell_word(folder)}, so what earlier runs left in the cache is not used"
        )
    return _of_this_run


def _read_key(place: Path) -> bytes:
    with suppress(FileExistsError):
        if not place.exists():
            fresh = place.with_name(f".key.{secrets.token_hex(8)}")
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(secrets.token_bytes(KEY_BYTES))
                # Of two runs that make one at once, both take the first.
                place.hardlink_to(fresh)
            finally:
                fresh.unlink()
    with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        found, content = os.fstat(file.fileno()), file.read(KEY_BYTES + 1)
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077 or len(content) != KEY_BYTES:
        raise OSError(f"{place} is not a key that this user alone can read")
    return content


def code(name: str, content: bytes) -> str:
    """Return the code of this user's key for a content under a name."""
    return hmac.digest(key(), f"{len(name)} {name} ".encode() + content, "sha256").hex()


@functools.cache
def _say_once(words: str) -> None:
    say(words)
