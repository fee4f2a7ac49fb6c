"""Whether a release's files and lists are of the images that the registry holds, by the images' own bytes."""

from __future__ import annotations

from collections.abc import Mapping

from sealift.model.names import Digest
from sealift.model.plan import Cell, Plan
from sealift.model.status import Finding, compared
from sealift.stations.assets import names
from sealift.stations.contents import Held, Reader
from sealift.stations.status_images import Image
from sealift.stations.status_release import Page, answer
from sealift.stations.together import together


def read_images(
    plan: Plan, images: Mapping[str, Image], readers: Mapping[str, Reader]
) -> tuple[dict[Cell, Held], tuple[Finding, ...]]:
    """Read every platform that the registry holds, and say of which that could not be done."""

    def one(cell: Cell) -> tuple[Held | None, tuple[Finding, ...]]:
        image = images[cell.variant]
        subject = image.platforms.get(cell.platform)
        if subject is None or subject in image.lost:
            return None, ()
        return answer(
            "platform",
            f"{subject} {cell.platform}",
            "an image of this release",
            lambda: readers[cell.variant].image(subject),
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
