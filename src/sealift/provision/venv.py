"""Let the scripts of a virtual environment find their Python in any folder.

Where the kernel cannot read a script's first line, because the path is long or has a space, pip writes two
lines for sh, and venv's ``activate`` is for a shell anyway. Both put the path between double quotes, where a
shell reads ``"``, ``$``, backquotes and backslashes of a folder's name.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sealift.model.codec import publish
from sealift.places import shell_word

# For sh a command, for Python a text: the line that pip writes begins and ends like this one.
_BEGIN, _END = b"#!/bin/sh\n'''exec' ", b' "$0" "$@"\n'
_PYTHON = b'"$(dirname -- "$(readlink -f -- "$0")")/python"'


def main(environment: Path) -> None:
    """Repair every script that needs it; the others stay as they are."""
    for script in sorted((environment / "bin").iterdir()):
        if script.is_symlink() or not script.is_file():
            continue
        old = script.read_bytes()
        new = _activating(old, environment) if script.name.startswith("activate") else _started(old)
        if new != old:
            mode = script.stat().st_mode
            publish(script, new)
            script.chmod(mode)


def _started(script: bytes) -> bytes:
    if not script.startswith(_BEGIN):
        return script
    _, end, rest = script.partition(_END)
    return _BEGIN + _PYTHON + end + rest if end else script


def _activating(script: bytes, environment: Path) -> bytes:
    plain, quoted = str(environment), shell_word(environment)
    return script if quoted == plain else script.replace(f'"{plain}"'.encode(), quoted.encode())


if __name__ == "__main__":
    main(Path(sys.prefix))
