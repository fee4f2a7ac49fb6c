"""SBOM: every Go module and Debian package in the bytes is in the lists, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from packageurl import PackageURL

from sealift.elf.rootfs import Rootfs
from sealift.model.codec import decode, publish
from sealift.model.evidence import Built, Listed, Proven
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.model.statements import JSON
from sealift.model.world import World
from sealift.stations.gate import Looks
from sealift.tools import trivy
from sealift.tools.layout import Layout
from sealift.tools.sbom import settled

STATUS = "/var/lib/dpkg/status.d/"
FORMATS: tuple[trivy.SbomFormat, ...] = ("spdx-json", "cyclonedx")
Names = frozenset[str]


def sbom(cell: Cell, plan: Plan, built: Built, proven: Proven, *, world: World, run: RunFolder) -> Listed:
    """List one cell's contents as SPDX and CycloneDX, and hold both against the bytes."""
    digest = built.platforms[str(cell.platform)].digest
    reference = f"{world.layouts}/{cell.variant}@{digest}"
    looks = Looks("sbom", str(cell))
    debian = debian_packages(Rootfs.from_layout(Layout(run.root / built.layout), digest))
    modules = frozenset(proven.modules) | {f"stdlib@{proven.go_version.replace('go', 'v', 1)}"}
    paths = {"spdx": f"sbom/{cell.slug}.spdx.json", "cyclonedx": f"sbom/{cell.slug}.cdx.json"}
    read, shipped = f"{world.layouts}/{cell.variant}", world.repository(plan.variant(cell.variant).repository)
    spdx, cyclonedx = (
        settled(
            trivy.sbom(reference, cell.platform, format=form, cache_dir=world.advisories),
            digest=digest,
            time=plan.time,
            names={read: shipped},
        )
        for form in FORMATS
    )
    for name, raw, urls in (
        ("SPDX", spdx, spdx_purls(decode(spdx, JSON))),
        ("CycloneDX", cyclonedx, cyclonedx_purls(decode(cyclonedx, JSON))),
    ):
        publish(run.root / paths[name.lower()], raw)
        parsed = [PackageURL.from_string(url) for url in urls]
        _compare(looks, f"{name}: Debian packages", debian, {_deb(p) for p in parsed if p.type == "deb"})
        listed = {_module(p) for p in parsed if p.type == "golang"}
        # The service's own module has no version of its own in its build info.
        own = {m for m in listed if m.partition("@")[0] == proven.main_module}
        looks.true(
            bool(own), f"{name}: {proven.main_module} itself", f"{name}: {proven.main_module} is missing"
        )
        _compare(looks, f"{name}: Go modules", modules, listed - own)
    gates = looks.done(
        means="the list does not say what is in the image",
        next_step=f"compare sbom/{cell.slug}.* with the image",
    )
    return Listed(
        gates=gates,
        digest=digest,
        spdx=paths["spdx"],
        cyclonedx=paths["cyclonedx"],
        go_modules=len(modules),
        debian_packages=len(debian),
    )


def debian_packages(rootfs: Rootfs) -> Names:
    """Read name@version of each package that distroless records below status.d."""
    found = set()
    for entry in rootfs.entries():
        if entry.path.startswith(STATUS) and not entry.path.endswith(".md5sums") and entry.kind == "file":
            fields = dict(
                line.split(": ", 1) for line in rootfs.read(entry.path).decode().splitlines() if ": " in line
            )
            found.add(f"{fields['Package']}@{fields['Version']}")
    return frozenset(found)


def spdx_purls(document: Any) -> Iterator[str]:
    """Yield each package URL of an SPDX document."""
    for package in document["packages"]:
        for reference in package.get("externalRefs", ()):
            if reference["referenceType"] == "purl":
                yield reference["referenceLocator"]


def cyclonedx_purls(document: Any) -> Iterator[str]:
    """Yield each package URL of a CycloneDX document."""
    for component in document.get("components", ()):
        if "purl" in component:
            yield component["purl"]


def _deb(url: PackageURL) -> str:
    epoch = f"{url.qualifiers['epoch']}:" if "epoch" in url.qualifiers else ""
    return f"{url.name}@{epoch}{url.version}"


def _module(url: PackageURL) -> str:
    path = f"{url.namespace}/{url.name}" if url.namespace else url.name
    # A Go module can be a folder of another, which a package URL writes as a subpath.
    path = f"{path}/{url.subpath}" if url.subpath else path
    return f"{path}@{url.version or ''}"


def _compare(looks: Looks, what: str, there: Names, listed: set[str]) -> None:
    missing, extra = sorted(there - listed), sorted(listed - there)
    if missing:
        looks.refused(f"{what} in the image and not listed: {', '.join(missing)}")
    if extra:
        looks.refused(f"{what} listed and not in the image: {', '.join(extra)}")
    if not missing and not extra:
        looks.true(bool(there), f"{what}: all {len(there)}, and no other", f"{what}: none found")
