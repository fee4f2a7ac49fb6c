"""The bases that ci/bases.lock.yaml names, where their makers publish them.

bases = locked_bases(plan, cache)
fetch(bases.values(), Registry())
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from sealift.model import bases as locking
from sealift.model.plan import Plan
from sealift.model.world import Base
from sealift.tools.layout import Layout
from sealift.tools.registry import Registry


def locked_bases(
    plan: Plan,
    cache: Path,
    *,
    upstream: str = locking.UPSTREAM,
    trusted_root: Path | None = None,
) -> dict[str, Base]:
    """Name each base of a plan as it is locked; its layout in the cache is named by its digest.

    Raises UsageError for one that is not locked.
    """
    suite, found = plan.config.suite, {}
    for name in dict.fromkeys(v.base for v in plan.config.variants.values()):
        entry = locking.locked({suite: plan.bases}, suite, name)
        source = locking.repository(name, suite, upstream)
        found[str(name)] = Base(
            name=f"{source}:{locking.TAG}",
            digest=entry.digest,
            layout=cache / "upstream" / entry.digest.hex,
            source=source,
            signer=entry.signer,
            trusted_root=trusted_root,
        )
    return found


def fetch(bases: Iterable[Base], registry: Registry) -> None:
    """Copy the bases that the cache lacks or holds damaged; OutsideError where no registry gives them."""
    for base in bases:
        base.layout.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(base.layout.with_suffix(".lock")):
            # Its folder has the digest for a name, which says nothing of what is in it.
            if Layout(base.layout).whole() == base.digest:
                continue
            shutil.rmtree(base.layout, ignore_errors=True)
            fresh = base.layout.with_name(f".{base.layout.name}")
            # What a run has left that was killed here.
            shutil.rmtree(fresh, ignore_errors=True)
            registry.fetch_layout(base.source.at(base.digest), fresh)
            fresh.rename(base.layout)
