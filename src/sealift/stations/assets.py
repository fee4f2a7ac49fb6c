"""What the GitHub release holds beside the images: every binary, every list, their checksums, its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from sealift.model.evidence import Built, Listed
from sealift.model.names import Digest, RunPath
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.model.world import World
from sealift.texts import markdown

CHECKSUMS = "SHA256SUMS"
_SUMS = RunPath(f"assets/{CHECKSUMS}")
_SIGNED = (
    "Each index and each platform is signed, and attested with its provenance; each platform also "
    "with its SBOMs (SPDX, CycloneDX) and its scan. To verify:"
)


def assets(plan: Plan, lists: Mapping[Cell, Listed], run: RunFolder) -> dict[str, Path]:
    """Return each asset by its name; ``SHA256SUMS`` names all the others."""
    found = dict(_files(plan, lists))
    sums = {name: run.digest(path, maker) for name, (path, maker) in found.items()}
    run.publish(_SUMS, sums_of(sums))
    found[CHECKSUMS] = _SUMS, "sealift draft"
    return {name: run.file(path, maker) for name, (path, maker) in found.items()}


def read_lists(plan: Plan, lists: Mapping[Cell, Listed], run: RunFolder) -> dict[str, bytes]:
    """Read each asset that is no binary, by its name."""
    binaries = {names(plan, cell)[0] for cell in plan.cells}
    found = {n: run.bytes_of(*where) for n, where in _files(plan, lists) if n not in binaries}
    return {**found, CHECKSUMS: run.bytes_of(_SUMS, "sealift draft")}


def sums_of(files: Mapping[str, Digest]) -> bytes:
    """Write ``SHA256SUMS`` of some files."""
    return "".join(f"{digest.hex}  {name}\n" for name, digest in sorted(files.items())).encode()


def names(plan: Plan, cell: Cell) -> tuple[str, str, str]:
    """Name one cell's assets: the binary, its SPDX and its CycloneDX."""
    stem = f"{plan.config.service}-{plan.version}-{cell.slug}"
    return stem, f"{stem}.spdx.json", f"{stem}.cdx.json"


def notes(plan: Plan, images: Mapping[str, Built], world: World) -> str:
    """Write the release page: what to pull, and how a stranger verifies it. The same each time."""
    return "\n".join(
        [
            markdown(plan.config.image.description) + ".",
            "",
            "| image | digest |",
            "|---|---|",
            *(_row(v, plan, world, built.digest) for v, built in images.items()),
            "",
            _SIGNED,
            "",
            "```sh",
            *(_verify_lines(plan, images, world)),
            "```",
            "",
            f"`{CHECKSUMS}` has the SHA-256 of every file below.",
            "",
        ]
    )


def noted(page: str, variant: str, plan: Plan, world: World) -> Digest | None:
    """Read which digest a release page gives for a variant; None where it gives none."""
    before, after = _row(variant, plan, world, "\0").split("\0")
    found = re.search(f"{re.escape(before)}(sha256:[0-9a-f]{{64}}){re.escape(after)}", page)
    return None if found is None else Digest(found[1])


def _row(variant: str, plan: Plan, world: World, digest: str) -> str:
    return f"| `{world.repository(plan.variant(variant).repository)}:{plan.version}` | `{digest}` |"


def _verify_lines(plan: Plan, images: Mapping[str, Built], world: World) -> Iterator[str]:
    for variant, built in images.items():
        image = world.repository(plan.variant(variant).repository).at(built.digest)
        yield f"cosign verify {image} \\"
        yield f"  --certificate-identity {world.sigstore.identity.san} \\"
        yield f"  --certificate-oidc-issuer {world.sigstore.identity.issuer}"


def _files(plan: Plan, lists: Mapping[Cell, Listed]) -> Iterator[tuple[str, tuple[RunPath, str]]]:
    """Yield each asset but the checksums: its name, its path in the run folder, and what makes it."""
    for cell in plan.cells:
        binary, spdx, cyclonedx = names(plan, cell)
        yield binary, (RunFolder.binary(cell, plan.config.service), "sealift compile")
        yield spdx, (lists[cell].spdx, "sealift sbom")
        yield cyclonedx, (lists[cell].cyclonedx, "sealift sbom")
