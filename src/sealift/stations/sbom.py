"""SBOM: every Go module and Debian package in the bytes is in the lists, and the reverse."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from packageurl import PackageURL

from sealift.elf.rootfs import Rootfs
from sealift.model.codec import decode, publish
from sealift.model.evidence import Built, Listed, Proven
from sealift.model.modules import GoModule
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.model.statements import JSON
from sealift.model.world import World
from sealift.stations.gate import Looks
from sealift.tools import trivy
from sealift.tools.layout import Layout
from sealift.tools.sbom import go_modules, purls, settled

STATUS = "/var/lib/dpkg/status.d/"
FORMATS: tuple[trivy.SbomFormat, ...] = ("spdx-json", "cyclonedx")
Names = frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What an image holds: Debian packages, and the Go modules of its program beside the main one."""

    packages: Names
    modules: frozenset[GoModule]
    main: GoModule


def sbom(cell: Cell, plan: Plan, built: Built, proven: Proven, *, world: World, run: RunFolder) -> Listed:
    """List one cell's contents as SPDX and CycloneDX, and hold both against the bytes."""
    digest = built.platforms[str(cell.platform)].digest
    reference = f"{world.layouts}/{cell.variant}@{digest}"
    looks = Looks("sbom", str(cell))
    debian = debian_packages(Rootfs.from_layout(Layout(run.root / built.layout), digest))
    modules = {*map(GoModule.parse, proven.modules), GoModule.stdlib(proven.go_version)}
    # Go stamps the commit into the main module, or nothing: it knows no tag.
    main = GoModule.of(proven.main_module, f"v{plan.version}")
    paths = {"spdx": f"sbom/{cell.slug}.spdx.json", "cyclonedx": f"sbom/{cell.slug}.cdx.json"}
    read, shipped = f"{world.layouts}/{cell.variant}", world.repository(plan.variant(cell.variant).repository)
    spdx, cyclonedx = (
        settled(
            trivy.sbom(reference, cell.platform, format=form, cache_dir=world.advisories),
            digest=digest,
            time=plan.time,
            names={read: shipped},
            modules={main.path: main, **{f: GoModule.parse(m) for f, m in proven.folders.items()}},
        )
        for form in FORMATS
    )
    contents = Contents(packages=debian, modules=frozenset(modules), main=main)
    for name, raw in (("SPDX", spdx), ("CycloneDX", cyclonedx)):
        publish(run.root / paths[name.lower()], raw)
        look_list(looks, name, decode(raw, JSON), contents)
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


def look_list(looks: Looks, name: str, document: JSON, contents: Contents) -> None:
    """Hold one list, of the form that its name says, against what an image holds."""
    urls = spdx_purls(document) if name == "SPDX" else cyclonedx_purls(document)
    parsed = [PackageURL.from_string(url) for url in urls]
    debian = {_deb(p) for p in parsed if p.type == "deb"}
    _compare(looks, f"{name}: Debian packages", contents.packages, debian)
    modules, main = contents.modules, contents.main
    listed = _with_capitals(set(go_modules(document)), {*modules, main})
    looks.true(main in listed, f"{name}: {main} itself", f"{name}: {main.path} is missing")
    _compare(looks, f"{name}: Go modules", _texts(modules), _texts(listed - {main}))


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
        yield from purls(package)


def cyclonedx_purls(document: Any) -> Iterator[str]:
    """Yield each package URL of a CycloneDX document."""
    for component in document.get("components", ()):
        yield from purls(component)


def _deb(url: PackageURL) -> str:
    epoch = f"{url.qualifiers['epoch']}:" if "epoch" in url.qualifiers else ""
    return f"{url.name}@{epoch}{url.version}"


def _texts(modules: Collection[GoModule]) -> Names:
    return frozenset(map(str, modules))


def _with_capitals(listed: set[GoModule], there: set[GoModule]) -> set[GoModule]:
    """Give capitals to what is listed without any: a list may name a module by its package URL alone.

    Only where one module of the image could be meant that is not listed by its own name.
    """
    found = set()
    for module in listed:
        meant = {m for m in there - listed if (m.path.lower(), m.version) == (module.path, module.version)}
        found |= meant if module not in there and len(meant) == 1 else {module}
    return found


def _compare(looks: Looks, what: str, there: Names, listed: Names | set[str]) -> None:
    missing, extra = sorted(there - listed), sorted(listed - there)
    if missing:
        looks.refused(f"{what} in the image and not listed: {', '.join(missing)}")
    if extra:
        looks.refused(f"{what} listed and not in the image: {', '.join(extra)}")
    if not missing and not extra:
        looks.true(bool(there), f"{what}: all {len(there)}, and no other", f"{what}: none found")
