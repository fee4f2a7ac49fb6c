"""What the compilers keep between builds, so that nothing of it counts for its place.

with trusted(request.cache, own=request.output.parent) as cache:
    check_modules(module, cache, own=...)
    with zig_cache(cache, "x86_64-linux-gnu.2.36", own=...) as zig:
        ...
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from sealift import records
from sealift.console import say
from sealift.places import ours_alone, plain, plainly, shell_word
from sealift.tools import gocache, modules

# zig's notes of its own sources: large, and of use only for a library that is not made yet.
_LEFT_OUT = frozenset({"z", "tmp"})
_checking = threading.Lock()


def trusted(cache: Path, *, own: Path) -> Path:
    """Return the folder of the compilers' caches; one of this run's own where others can change it.

    What go has compared once it reads again, by its path.
    """
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    if cache.lstat().st_uid == os.getuid():
        cache.chmod(0o700)
    if ours_alone(cache):
        return cache
    mine = own / "caches"
    with _checking:
        if not mine.exists():
            mine.mkdir(mode=0o700, parents=True)
            say(f"others can write {shell_word(cache)} or a folder above it: this run compiles anew")
    return mine


def go_cache() -> dict[str, str]:
    """Return the variables by which go asks us for what it has compiled before."""
    # Python alone: what an environment of ours holds is of no use there, and takes time.
    words: tuple[str, ...] = (str(Path(sys.executable).resolve()), "-I", "-S", gocache.__file__)
    if libraries := os.environ.get("LD_LIBRARY_PATH"):
        # Where this Python found its own library; go itself does not get the variable.
        words = ("/usr/bin/env", f"LD_LIBRARY_PATH={libraries}", *words)
    return {"GOCACHEPROG": " ".join(map(_quoted, words)), gocache.KEY: records.key().hex()}


def _quoted(word: str) -> str:
    """Quote a word as go reads it: between quotes, which it cannot hold itself."""
    if "'" not in word:
        return f"'{word}'"
    path = Path(word)
    return f"'{plain(path.parent) / path.name}'"


def check_modules(folders: Sequence[Path], cache: Path, *, own: Path) -> None:
    """Hash every module that was fetched before, once in a run; ``folders`` are the module's and those above.

    Raises RefusedError where one is not what go.sum names.
    """
    work = next((folder for folder in folders if (folder / "go.work").is_file()), None)
    if work is not None:
        files = sorted(path for name in ("go.sum", "go.work.sum") for path in work.rglob(name))
    else:
        files = [folder / "go.sum" for folder in folders if (folder / "go.mod").is_file()][:1]
    sums = modules.read_sums(file for file in files if file.is_file())
    done = own / f"modules.{hashlib.sha256(repr((str(cache), sorted(sums))).encode()).hexdigest()[:16]}"
    with _checking:
        if not done.exists():
            modules.check(sums, cache)
            done.touch()


@contextmanager
def zig_cache(cache: Path, target: str, *, own: Path) -> Iterator[Path]:
    """Give zig a folder of this build's own, with what it made before of libc and its own library.

    zig does not compare what it finds there, so it is kept as one archive with a code.
    """
    name = f"zig {metadata.version('ziglang')} {target}"
    archive = cache / "zig" / f"{name.replace(' ', '-')}.tar"
    with tempfile.TemporaryDirectory(dir=own, prefix="zig-") as temporary:
        folder, kept = Path(temporary), records.read(archive, name)
        if kept is not None:
            with tarfile.open(fileobj=io.BytesIO(kept)) as tar:
                # Debian 12's Python has no filters, and what has our code needs none.
                tar.extraction_filter = getattr(tarfile, "data_filter", None)
                tar.extractall(folder)  # noqa: S202
        # What a C compiler says of the files that it read is a text, too.
        with plainly(folder) as place:
            yield place
        if kept is None:
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as tar:
                for path in sorted(folder.iterdir()):
                    if path.name not in _LEFT_OUT:
                        tar.add(path, path.name)
            records.write(archive, name, packed.getvalue())
