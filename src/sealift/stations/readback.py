"""Reading back what was written to a registry: as other clients, and without a login where that works."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from sealift.model.names import Digest, Repository
from sealift.model.statements import Subject
from sealift.stations.gate import Looks
from sealift.stations.together import together
from sealift.tools.registry import Registry
from sealift.tools.registry_readback import CLIENTS

CONTRADICTS = "the registry shows other clients something else than what was written to it"


def check_images(looks: Looks, repository: Repository, digests: Sequence[Digest], registry: Registry) -> None:
    """Read manifests by their digests, and hash every blob below them."""
    _check(looks, repository, {digest: digest for digest in digests}, registry, blobs=True)


def check_tags(looks: Looks, tags: Mapping[Repository, Mapping[str, Digest]], registry: Registry) -> None:
    """Read every tag as every client does; each must name its digest."""
    for repository, names in tags.items():
        _check(looks, repository, names, registry, blobs=False)


def check_lists(looks: Looks, subjects: Sequence[Subject], registry: Registry) -> None:
    """Compare what strangers are told about signatures with what we are told."""
    one = functools.partial(_listed, registry=registry)
    for subject, problems in zip(subjects, together(one, subjects), strict=True):
        looks.true(not problems, f"the list of {subject} agrees", "; ".join(problems))


def _listed(subject: Subject, *, registry: Registry) -> tuple[str, ...]:
    return registry.listing_problems(subject.repository, subject.digest)


def _check(
    looks: Looks, repository: Repository, names: Mapping[str, Digest], registry: Registry, *, blobs: bool
) -> None:
    found = registry.readback(repository, names, blobs=blobs)
    for problem in found.problems:
        looks.refused(problem)
    if not found.problems:
        names_read = f"{len(names)} manifests by digest" if blobs else ", ".join(names)
        looks.passed(
            f"{repository}: {len(CLIENTS)} kinds of client get the same {names_read}, read {found.manner}"
        )
