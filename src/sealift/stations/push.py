"""Push: what passed every gate goes to the public registry, by digest, and no tag moves."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from sealift.model.evidence import Built, Pushed
from sealift.model.names import Digest, Platform, Repository
from sealift.oci import documents
from sealift.stations.gate import Looks
from sealift.stations.readback import CONTRADICTS, check_images
from sealift.stations.together import together
from sealift.tools.registry import Registry
from sealift.tools.registry_denied import DeniedError
from sealift.tools.registry_http import NotThereError


def push(
    variant: str,
    built: Built,
    gated: Mapping[tuple[str, Platform], Digest],
    *,
    base: Digest,
    layout: Repository,
    target: Repository,
    registry: Registry,
) -> Pushed:
    """Copy one variant's index with everything below it, then read it back as other clients do.

    ``gated`` says which manifest each gate looked at, and ``base`` is what was looked at below it; another
    than what ships is refused.
    """
    looks = Looks("push", variant)
    for (station, platform), digest in gated.items():
        looks.equal(
            f"what {station} looked at, {platform}", expected=built.platforms[platform].digest, got=digest
        )
    looks.done(means="what would ship is not what passed the gates", next_step="run the release again")
    looks.equal("the base that was looked at", expected=built.base_digest, got=base)
    looks.done(means="what would ship stands on a base that nobody looked at", next_step="sealift base")
    if lost := _missing_before(target, built.digest, registry):
        registry.copy(layout.at(built.digest), target.at(built.digest))
        lost = missing(target, built.digest, registry)
    looks.true(
        not lost,
        "every manifest and blob below the index is there",
        f"not in the registry: {', '.join(lost)}",
    )
    digests = {"index": built.digest} | {p: b.digest for p, b in built.platforms.items()}
    for name, digest in () if lost else digests.items():
        held = Digest.of(registry.manifest(target.at(digest)))
        looks.equal(f"{name} in the registry", expected=digest, got=held)
    looks.done(
        means="the registry does not hold the bytes that passed the gates", next_step="run the release again"
    )
    check_images(looks, target, tuple(digests.values()), registry)
    gates = looks.done(means=CONTRADICTS, next_step=f"report it to the operator of {target.host}")
    return Pushed(gates=gates, repository=target, digest=built.digest)


def _missing_before(target: Repository, digest: Digest, registry: Registry) -> tuple[str, ...]:
    """Name what is to be copied: everything, where the registry does not say what it holds.

    Many deny access to a repository that does not exist, and make it at the first push: the copy decides.
    """
    try:
        return missing(target, digest, registry)
    except DeniedError:
        return (f"manifest {digest}",)


def missing(target: Repository, digest: Digest, registry: Registry) -> tuple[str, ...]:
    """Name every manifest and blob, from one manifest down, that the registry says it does not hold.

    A registry that has the index may have lost what is below. Blobs are not read: that they are there is
    the registry's word, and what they hold is in their name.
    """
    try:
        found = documents.read_json(registry.manifest(target.at(digest)), f"the manifest {digest}")
    except NotThereError:
        return (f"manifest {digest}",)
    blobs = [Digest(d["digest"]) for d in (found.get("config"), *found.get("layers", ())) if d]
    there = together(functools.partial(registry.has_blob, target), blobs)
    below = [Digest(d["digest"]) for d in found.get("manifests", ())]
    return (
        *(f"blob {blob} of {digest}" for blob, is_there in zip(blobs, there, strict=True) if not is_there),
        *(name for child in below for name in missing(target, child, registry)),
    )
