"""Print what lies in folders, as JSON. Started as root, with nothing but Python's own library."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from pathlib import Path

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink"}


def walk(root: Path) -> dict[str, list[object]]:
    """Return each path's kind, mode, owner, group, link target, hash, seconds and extended attributes."""
    found: dict[str, list[object]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            status = path.lstat()
            kind = KINDS.get(stat.S_IFMT(status.st_mode), oct(status.st_mode))
            target = str(path.readlink()) if kind == "symlink" else ""
            digest = hashlib.sha256(path.read_bytes()).hexdigest() if kind == "file" else ""
            attributes = sorted(os.listxattr(path, follow_symlinks=False))
            found[f"/{path.relative_to(root)}"] = [
                *(kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, target, digest),
                *(int(status.st_mtime), attributes),
            ]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps([walk(Path(root)) for root in sys.argv[1:]]))
