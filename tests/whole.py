"""Which files have their final name and are not whole: what a full disk or a kill must never leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from sealift.model.names import Digest

# What lies there is unfinished by its name, or belongs to other programs, which write as they like.
_UNFINISHED = frozenset({"work", "home"})


def half_files(folder: Path) -> list[Path]:
    """Return the JSON that cannot be read, the blobs whose name is another hash, and the binaries and
    the assets of GitHub's folder that are not what the JSON about them names.
    """
    return [
        *(path for path in _final(folder) if _is_half(path)),
        *_other_binaries(folder),
        *_other_assets(folder),
    ]


def _final(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if not any(part.startswith(".") or part in _UNFINISHED for part in parts) and path.is_file():
            yield path


def _is_half(path: Path) -> bool:
    if path.parent.name == "sha256":
        return Digest.of_file(path).hex != path.name
    return path.suffix == ".json" and not _is_json(path)


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _other_binaries(folder: Path) -> Iterator[Path]:
    """Yield what ``evidence/compile`` of a run folder names, where it is not there with those bytes."""
    for evidence in filter(_is_json, folder.rglob("evidence/compile/*.json")):
        told = json.loads(evidence.read_bytes())
        # A station that was refused or broken off leaves its gates alone.
        if "path" in told and not _has(binary := evidence.parents[2] / told["path"], told["sha256"]):
            yield binary


def _other_assets(folder: Path) -> Iterator[Path]:
    for record in filter(_is_json, folder.rglob("github/assets/[0-9]*/record.json")):
        digest = json.loads(record.read_bytes())["digest"]
        if digest and not _has(content := record.with_name("content"), digest):
            yield content


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and Digest.of_file(path) == digest
