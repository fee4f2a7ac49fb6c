"""Let a virtual environment work in any folder: ``python -m sealift.provision.venv``.

Where the kernel cannot read a script's first line, because the path is long or has a space, pip writes two
lines for sh, and venv's ``activate`` is for a shell anyway. Both put the path between double quotes, where a
shell reads ``"``, ``$``, backquotes and backslashes of a folder's name. The path to this source is in a file
that Python before 3.13 reads as its locale says: with LC_ALL=C it does not even start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sealift.model.codec import publish
from sealift.places import shell_word

# For sh a command, for Python a text: the line that pip writes begins and ends like this one.
_BEGIN, _END = b"#!/bin/sh\n'''exec' ", b' "$0" "$@"\n'
# Of a first line, before Linux 5.1; pip decides by it.
_LONGEST_LINE = 127
_PYTHON = b'"$(dirname -- "$(readlink -f -- "$0")")/python"'


def main(environment: Path) -> None:
    """Repair every file that needs it; the others stay as they are."""
    scripts = [path for path in (environment / "bin").iterdir() if path.is_file() and not path.is_symlink()]
    for path in scripts:
        old = path.read_bytes()
        _replace(
            path,
            old,
            _activating(old, environment) if path.name.startswith("activate") else _started(old, environment),
        )
    for path in environment.glob("lib/python*/site-packages/*.pth"):
        old = path.read_bytes()
        _replace(path, old, _relative(old, path.parent, environment.parent))


def _replace(path: Path, old: bytes, new: bytes) -> None:
    if new != old:
        mode = path.stat().st_mode
        publish(path, new)
        path.chmod(mode)


def _started(script: bytes, environment: Path) -> bytes:
    first, _, rest = script.partition(b"\n")
    if script.startswith(_BEGIN):
        _, end, rest = script.partition(_END)
        return _BEGIN + _PYTHON + end + rest if end else script
    # A wheel's own script gets the path as it is; the kernel ends it at a space.
    unread = len(first) > _LONGEST_LINE or len(first.split()) > 1
    if unread and first.startswith(b"#!" + os.fsencode(environment / "bin" / "python")):
        return _BEGIN + _PYTHON + _END + b"' '''\n" + rest
    return script


def _activating(script: bytes, environment: Path) -> bytes:
    plain, quoted = str(environment), shell_word(environment)
    return script if quoted == plain else script.replace(f'"{plain}"'.encode(), quoted.encode())


def _relative(lines: bytes, folder: Path, root: Path) -> bytes:
    """Name what is below ``root`` as seen from ``folder``, which is how Python reads such a line."""
    below = os.fsencode(root) + b"/"
    return b"\n".join(
        os.path.relpath(line, os.fsencode(folder)) if line.startswith(below) else line
        for line in lines.split(b"\n")
    )


if __name__ == "__main__":
    main(Path(sys.prefix))
