"""The folders of the worlds that were played in: which there are, who is in one, and how one is forgotten."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from sealift.errors import OutsideError
from sealift.model.lock import one_at_a_time
from sealift.services.supervised import is_kept, stop_kept

KEPT = "kept.json"
ENVIRONMENT = "environment.json"
WORLDS_KEPT = 3


def worlds(root: Path) -> tuple[Path, ...]:
    """Return every world's folder, the newest first."""
    found = [p for p in (root / "build" / "rehearsal").glob("*") if p.is_dir()]
    return tuple(sorted(found, key=lambda p: -p.stat().st_mtime))


def kept_worlds(root: Path) -> tuple[Path, ...]:
    """Return the worlds whose services an earlier run has left up, the newest first."""
    return tuple(world for world in worlds(root) if is_kept(world / KEPT))


def alone(
    folder: Path,
    *,
    means: str = "two releases of one version at once would undo each other",
    next_step: str = "wait for it, or play in another world: --world-name NAME",
) -> AbstractContextManager[None]:
    """Keep every other run out of a world, or raise OutsideError where one is in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return one_at_a_time(
        _lock(folder),
        happened=f"another run is playing in the world {folder.name}",
        means=means,
        next_step=next_step,
    )


def forget(folder: Path) -> None:
    """End the services that are up in a world and remove it, or raise OutsideError where a run is in it."""
    again = f"wait for it, then: sealift rehearse reset --world-name {folder.name}"
    with alone(folder, means="nothing of it was removed", next_step=again):
        stop_kept(folder / KEPT)
        shutil.rmtree(folder)
        _lock(folder).unlink()


def prune(root: Path) -> None:
    """Keep the newest worlds of commits; a named one stays until ``rehearse reset``."""
    unnamed = [w for w in worlds(root) if _is_fingerprint(w.name) and not is_kept(w / KEPT)]
    for old in unnamed[WORLDS_KEPT:]:
        # One that somebody plays in stays for another time.
        with suppress(OutsideError), alone(old):
            shutil.rmtree(old, ignore_errors=True)
            _lock(old).unlink()


def _lock(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.lock"


def _is_fingerprint(name: str) -> bool:
    return len(name) in (40, 64) and set(name) <= set("0123456789abcdef")
