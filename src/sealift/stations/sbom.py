"""SBOM: every Go module and Debian package in the bytes is in the lists, and the reverse.

``differences`` compares any list with an image: the station's own, one that is to be signed, one that was.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from packageurl import PackageURL

from sealift.elf.rootfs import Rootfs
from sealift.errors import RefusedError
from sealift.model.codec import decode
from sealift.model.evidence import Built, File, Listed, Proven
from sealift.model.modules import GoModule
from sealift.model.names import Digest, Repository, RunPath, Version
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
_OS_RELEASE = re.compile(r"^(ID|VERSION_ID)=[\"']?([^\"'\n]*)", re.MULTILINE)
# How both forms call what stands for no package: the program, and the system that it stands on.
_PROGRAM, _SYSTEM = (
    frozenset({"APPLICATION", "application"}),
    frozenset({"OPERATING-SYSTEM", "operating-system"}),
)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What one platform's image holds, as its own layers and the build info of its program say.

    ``system`` is Debian's name and version, ``service`` the program's path without the first slash.
    """

    repository: Repository
    digest: Digest
    system: str
    service: str
    debian: Names
    main: GoModule
    modules: frozenset[GoModule]

    @classmethod
    def of(
        cls,
        rootfs: Rootfs,
        *,
        repository: Repository,
        digest: Digest,
        service: str,
        version: Version,
        main: str,
        go_version: str,
        modules: Iterable[GoModule],
    ) -> Contents:
        """Take an image's files, and from the program's build info its main module, Go and modules."""
        return cls(
            repository=repository,
            digest=digest,
            system=_system(rootfs),
            service=service,
            debian=debian_packages(rootfs),
            # Go stamps the commit into the main module, or nothing: it knows no tag.
            main=GoModule.of(main, f"v{version}"),
            modules=frozenset({*modules, GoModule.stdlib(go_version)}),
        )


def sbom(cell: Cell, plan: Plan, built: Built, proven: Proven, *, world: World, run: RunFolder) -> Listed:
    """List one cell's contents as SPDX and CycloneDX, and hold both against the bytes."""
    digest = built.platforms[str(cell.platform)].digest
    looks = Looks("sbom", str(cell))
    image = Contents.of(
        Rootfs.from_layout(Layout(run.folder(built.layout, "sealift image")), digest),
        repository=world.repository(plan.variant(cell.variant).repository),
        digest=digest,
        service=plan.config.service,
        version=plan.version,
        main=proven.main_module,
        go_version=proven.go_version,
        modules=map(GoModule.parse, proven.modules),
    )
    paths = RunPath(f"sbom/{cell.slug}.spdx.json"), RunPath(f"sbom/{cell.slug}.cdx.json")
    read = f"{world.layouts}/{cell.variant}"
    spdx, cyclonedx = (
        settled(
            trivy.sbom(f"{read}@{digest}", cell.platform, format=form, cache_dir=world.advisories),
            digest=digest,
            time=plan.time,
            names={read: image.repository},
            modules={
                image.main.path: image.main,
                **{f: GoModule.parse(m) for f, m in proven.folders.items()},
            },
        )
        for form in FORMATS
    )
    files: tuple[File, ...] = ()
    for name, path, raw in (("SPDX", paths[0], spdx), ("CycloneDX", paths[1], cyclonedx)):
        files += (run.publish(path, raw),)
        odd = differences(decode(raw, JSON), image)
        for words in odd:
            looks.refused(f"{name}: {words}")
        if not odd:
            counts = f"{len(image.debian)} Debian packages and {len(image.modules)} Go modules"
            looks.passed(f"{name}: all {counts}, and no other")
    gates = looks.done(
        means="the list does not say what is in the image",
        next_step=f"compare sbom/{cell.slug}.* with the image",
    )
    return Listed(
        gates=gates,
        files=files,
        digest=digest,
        spdx=paths[0],
        cyclonedx=paths[1],
        go_modules=len(image.modules),
        debian_packages=len(image.debian),
    )


def differences(document: JSON, image: Contents) -> list[str]:
    """Say in what an SPDX or CycloneDX document is not the list of exactly what an image holds.

    Nothing where it is. A document that is neither, or is cut off, differs too.
    """
    try:
        urls = [PackageURL.from_string(url) for entry in _entries(document) for url in purls(entry)]
        modules = set(go_modules(document))
        return [*odd_packages(urls, modules, image), *_others(document, image), *_subject(document, image)]
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        return [f"it is no list that can be read: {type(err).__name__} {err}"]


def odd_packages(urls: Iterable[PackageURL], modules: set[GoModule], image: Contents) -> Iterator[str]:
    """Say which packages and modules are told of an image and are not in it, or the reverse."""
    yield from _compare("Debian packages", image.debian, {_deb(url) for url in urls if url.type == "deb"})
    listed = _with_capitals(modules, {*image.modules, image.main})
    if image.main not in listed:
        yield f"{image.main.path} is missing"
    yield from _compare("Go modules", _texts(image.modules), _texts(listed - {image.main}))


def _others(document: JSON, image: Contents) -> Iterator[str]:
    """Name what is listed beside modules and packages, but for the image, its system and its program."""
    found: dict[str, list[str]] = {"system": [], "program": []}
    for entry in _entries(document):
        kind = entry.get("primaryPackagePurpose", entry.get("type"))
        types = {PackageURL.from_string(url).type for url in purls(entry)}
        if kind in _SYSTEM:
            found["system"].append(f"{entry['name']} {entry.get('versionInfo', entry.get('version'))}")
        elif kind in _PROGRAM and not types:
            found["program"].append(entry["name"])
        elif kind != "CONTAINER" and (not types or types - {"deb", "golang"}):
            yield f"listed and not in the image: {entry['name']}"
    for system in found["system"]:
        # Debian's own file knows of the point release, which os-release does not tell.
        if system != image.system and not system.startswith(f"{image.system}."):
            yield f"system: expected {image.system or 'none'}, got {system}"
    yield from (f"another program: {name}" for name in found["program"] if name != image.service)


def _subject(document: JSON, image: Contents) -> Iterator[str]:
    """Say where a list is of another image: by its name, its package URL, or what it describes."""
    name = image.repository.at(image.digest)
    if "spdxVersion" in document:
        roots = [entry for entry in _entries(document) if entry.get("primaryPackagePurpose") == "CONTAINER"]
        described = [
            one["relatedSpdxElement"]
            for one in document["relationships"]
            if one["relationshipType"] == "DESCRIBES"
        ]
        if described != [root["SPDXID"] for root in roots]:
            yield f"it describes {', '.join(described) or 'nothing'}, not the image"
        if document["name"] != name:
            yield f"it is of {document['name']}, not of {name}"
    else:
        roots = [document["metadata"]["component"]]
        if roots[0]["type"] != "container":
            yield f"it is of a {roots[0]['type']}, not of an image"
    for root in roots or [{"name": "nothing"}]:
        if root["name"] != name:
            yield f"it is of {root['name']}, not of {name}"
        for url in map(PackageURL.from_string, purls(root)):
            where = dict(url.qualifiers).get("repository_url")
            if (url.type, url.version, where) != ("oci", image.digest, image.repository):
                yield f"its package URL is of {where}@{url.version}, not of {name}"


def _entries(document: JSON) -> list[JSON]:
    return list(document["packages"] if "spdxVersion" in document else document["components"])


def _system(rootfs: Rootfs) -> str:
    """Read Debian's name and version, as the image says."""
    if (found := rootfs.resolve("/etc/os-release")) is None or found.kind != "file":
        return ""
    said = dict(_OS_RELEASE.findall(rootfs.read("/etc/os-release").decode(errors="replace")))
    return f"{said.get('ID', '')} {said.get('VERSION_ID', '')}".strip()


def debian_packages(rootfs: Rootfs) -> Names:
    """Read name@version of each package that distroless records below status.d."""
    found = set()
    for entry in rootfs.entries():
        if entry.path.startswith(STATUS) and not entry.path.endswith(".md5sums") and entry.kind == "file":
            text = rootfs.read(entry.path).decode(errors="replace")
            fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
            if not {"Package", "Version"} <= fields.keys():
                raise RefusedError(
                    f"{entry.path} in {rootfs.origin} names no package and version",
                    means="what is installed there cannot be told, and so not be compared with the list",
                    next_step="take a base whose package database is whole",
                )
            found.add(f"{fields['Package']}@{fields['Version']}")
    return frozenset(found)


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


def _compare(what: str, there: Names, listed: Names | set[str]) -> Iterator[str]:
    if missing := sorted(there - listed):
        yield f"{what} in the image and not listed: {', '.join(missing)}"
    if extra := sorted(listed - there):
        yield f"{what} listed and not in the image: {', '.join(extra)}"
    if not there:
        yield f"{what}: none found"
