"""Write evidence anew so that every hash fits: what one who may write all of a run folder would do."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from sealift.line import Line
from sealift.model.codec import to_json
from sealift.model.names import Digest
from sealift.model.run import RunFolder

JSON = dict[str, Any]


def copied(run: RunFolder, root: Path) -> RunFolder:
    """Copy a run folder; what was built is the same files under other names, for it is large."""
    for part in run.root.iterdir():
        if part.name in ("dist", "images"):
            shutil.copytree(part, root / part.name, copy_function=os.link)
        elif part.name == "work":
            continue
        elif part.is_dir():
            shutil.copytree(part, root / part.name)
        else:
            root.mkdir(parents=True, exist_ok=True)
            shutil.copy(part, root / part.name)
    return RunFolder(root)


def hashed(run: RunFolder, name: str) -> JSON:
    """Name a file with its hash, as evidence does."""
    return {"path": name, "sha256": Digest.of_file(run.root / name)}


def relink(line: Line) -> None:
    """Have every piece of evidence name what lies in the folder now, from the plan on."""
    run = line.run
    for row in line.nodes():
        path = run.evidence_file(row.station, row.subject)
        if not path.exists():
            continue
        said: JSON = json.loads(path.read_bytes())
        made_from = [run.plan_file, *(run.evidence_file(*need.split(":", 1)) for need in row.needs)]
        said["made_from"] = [hashed(run, str(p.relative_to(run.root))) for p in made_from]
        said["files"] = [hashed(run, file["path"]) for file in said["files"]]
        path.write_bytes(to_json(said))
