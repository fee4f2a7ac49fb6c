"""Whether a release's files and lists are of the images that the registry holds, by the images' own bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from sealift.model.names import Digest
from sealift.model.plan import Cell, Plan
from sealift.model.status import Finding, compared
from sealift.stations import contents
from sealift.stations.assets import names
from sealift.stations.contents import Held
from sealift.stations.sbom import differences
from sealift.stations.status_images import Image
from sealift.stations.status_release import Page, answer
from sealift.stations.together import together
from sealift.stations.verify import Expected
from sealift.tools.gobinary import BuildInfo
from sealift.tools.registry import Registry

InfoOf = Callable[[bytes], BuildInfo]


def read_images(
    plan: Plan, images: Mapping[str, Image], registry: Registry, info_of: InfoOf
) -> tuple[dict[Cell, Held], tuple[Finding, ...]]:
    """Read every platform that the registry holds, and say of which that could not be done."""

    def one(cell: Cell) -> tuple[Held | None, tuple[Finding, ...]]:
        image = images[cell.variant]
        subject = image.platforms.get(cell.platform)
        if subject is None or subject in image.lost:
            return None, ()

        def blob(digest: Digest) -> bytes:
            if digest == subject.digest:
                return registry.manifest(str(subject))
            return registry.blob(subject.repository, digest)

        return answer(
            "platform",
            f"{subject} {cell.platform}",
            "an image of this release",
            lambda: contents.read(
                cell, plan, subject.digest, blob, repository=subject.repository, info_of=info_of
            ),
        )

    answers = dict(zip(plan.cells, together(one, plan.cells), strict=True))
    held = {cell: found for cell, (found, _) in answers.items() if found is not None}
    return held, tuple(finding for _, failed in answers.values() for finding in failed)


def look_binaries(plan: Plan, page: Page, held: Mapping[Cell, Held]) -> tuple[Finding, ...]:
    """Compare each binary of the release with the program of its image: its checksums come with it."""
    binaries = {names(plan, cell)[0]: there.program for cell, there in held.items()}
    return tuple(
        compared("asset", f.subject, expected=binaries[f.subject], got=Digest.of(page.files[f.subject]))
        if f.what == "asset" and f.subject in binaries and f.subject in page.files
        else f
        for f in page.findings
    )


def look_list(wanted: Expected, found: Finding, held: Mapping[Cell, Held]) -> Finding:
    """Compare a signed list, which the release has as a file, with its image."""
    there = next((h for h in held.values() if h.contents.digest == wanted.subject.digest), None)
    if found.verdict != "agrees" or there is None or wanted.predicate is None:
        return found
    odd = differences(wanted.predicate, there.contents)
    return msgspec.structs.replace(found, verdict="differs", got="; ".join(odd)) if odd else found
