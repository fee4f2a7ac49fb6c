"""Push: what passed every gate goes to the public registry, by digest, and no tag moves."""

from __future__ import annotations

from collections.abc import Mapping

from sealift.model.evidence import Built, Pushed
from sealift.model.names import Digest, Platform, Repository
from sealift.stations.gate import Looks
from sealift.tools.registry import Registry


def push(
    variant: str,
    built: Built,
    gated: Mapping[tuple[str, Platform], Digest],
    *,
    layout: Repository,
    target: Repository,
    registry: Registry,
) -> Pushed:
    """Copy one variant's index with everything below it, then read back what the registry holds.

    ``gated`` says which manifest each gate looked at; another than the one that ships is refused.
    """
    looks = Looks("push", variant)
    for (station, platform), digest in gated.items():
        looks.equal(
            f"what {station} looked at, {platform}", expected=built.platforms[platform].digest, got=digest
        )
    looks.done(means="what would ship is not what passed the gates", next_step="run the release again")
    if registry.head(target.at(built.digest)) is None:
        registry.copy(layout.at(built.digest), target.at(built.digest))
    digests = {"index": built.digest} | {p: b.digest for p, b in built.platforms.items()}
    for name, digest in digests.items():
        held = Digest.of(registry.manifest(target.at(digest)))
        looks.equal(f"{name} in the registry", expected=digest, got=held)
    gates = looks.done(
        means="the registry does not hold the bytes that passed the gates", next_step="run the release again"
    )
    return Pushed(gates=gates, repository=target, digest=built.digest)
