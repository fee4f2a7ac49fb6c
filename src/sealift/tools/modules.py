"""The module cache, believed for go.sum: each module that lies unpacked has the hash that go.sum names.

go compares the hash that it noted when it fetched a module, and not the files that it compiles: what was
changed since would be built. https://go.dev/ref/mod#go-sum-files
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sealift.errors import RefusedError
from sealift.places import shell_word

Sums = Mapping[tuple[str, str], frozenset[str]]


def read_sums(files: Iterable[Path]) -> Sums:
    """Read the hashes of modules from go.sum files; those of their go.mod alone are go's to compare."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for file in files:
        for line in file.read_text("utf-8", errors="replace").splitlines():
            words = line.split()
            if len(words) == 3 and not words[1].endswith("/go.mod"):  # noqa: PLR2004 - path, version, hash
                module = (words[0], words[1])
                found[module] = found.get(module, frozenset()) | {words[2]}
    return found


def check(sums: Sums, cache: Path) -> None:
    """Hash what lies unpacked of these modules; raise RefusedError for one that is not as in go.sum.

    What is not there yet, go fetches and compares itself.
    """
    for (path, version), wanted in sums.items():
        unpacked = cache / f"{_escaped(path)}@{_escaped(version)}"
        packed = cache / "cache" / "download" / _escaped(path) / "@v" / f"{_escaped(version)}.zip"
        if not os.path.lexists(unpacked) or os.path.lexists(packed.with_name(f"{_escaped(version)}.partial")):
            # Of an archive that it has already, go would compare nothing before it unpacks it.
            packed.unlink(missing_ok=True)
        if not os.path.lexists(unpacked):
            continue
        try:
            got = _h1(unpacked, f"{path}@{version}")
        except (OSError, ValueError) as error:
            got = f"not readable ({error})"
        if got not in wanted:
            where = shell_word(unpacked)
            raise RefusedError(
                f"the module {path}@{version} in the module cache is {got},"
                f" go.sum says {' or '.join(sorted(wanted))}",
                means="it was changed after go fetched it, and would be compiled into what ships",
                next_step=f"chmod -R u+w {where} && rm -r {where}, and run again: go fetches it anew",
            )


def _h1(folder: Path, prefix: str) -> str:
    """Return go's hash of a module: of its files' names and hashes, in the order of the names."""
    found: dict[str, str] = {}
    for place, folders, names in os.walk(folder, onerror=_fail):
        for path in (Path(place, name) for name in (*names, *folders)):
            if path.is_symlink():
                raise ValueError(f"{path.name} is a link, which no module has")
        for path in (Path(place, name) for name in names):
            found[f"{prefix}/{path.relative_to(folder)}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(found.items()))
    return "h1:" + base64.b64encode(hashlib.sha256(lines.encode()).digest()).decode()


def _escaped(name: str) -> str:
    """Spell a name as the module cache does, for disks that take A for a."""
    return re.sub("[A-Z]", lambda found: f"!{found[0].lower()}", name)


def _fail(error: OSError) -> None:
    raise error
