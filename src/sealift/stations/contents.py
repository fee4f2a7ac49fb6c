"""What is said of an image, and what is published beside it, against the image's own bytes.

A file of the run folder is another job's claim. An image is not: a digest names its every byte, and the
registry, the signatures and the tags name that digest. So the binary, the lists and the scan are held
against the layers below it, wherever those are read from: the run folder's layout or the registry.

    held = {cell: read(cell, plan, built.platforms[cell.platform].digest, blob, repository=repository)}
    check_statements(looks, plan, images, held, statements)
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from packageurl import PackageURL

from sealift.elf.rootfs import Rootfs
from sealift.errors import RefusedError
from sealift.model.codec import decode
from sealift.model.evidence import Built
from sealift.model.names import Digest, Platform, Repository
from sealift.model.plan import Cell, Plan
from sealift.model.statements import JSON, PredicateType, Statement
from sealift.model.world import World
from sealift.oci import documents
from sealift.stations.assets import CHECKSUMS, names, sums_of
from sealift.stations.gate import Looks
from sealift.stations.sbom import Contents, differences, odd_packages
from sealift.stations.together import together
from sealift.tools.gobinary import BuildInfo, read_build_info
from sealift.tools.sbom import go_module

# Gives the bytes that a digest names: a manifest's, a configuration's or a layer's.
Blob = Callable[[Digest], bytes]
NOT_OF_THE_IMAGE = "the run folder holds what is not of the image: somebody changed it after it was built"
RELEASE = "sealift release"
LISTS = {PredicateType.SPDX: "SPDX", PredicateType.CYCLONEDX: "CycloneDX"}


@dataclass(frozen=True, kw_only=True)
class Held:
    """One platform's image by its own bytes: its program's hash and build info, and all that it holds."""

    program: Digest
    info: BuildInfo
    contents: Contents


def build_info(program: bytes) -> BuildInfo:
    """Read the build info of a program that is no file yet."""
    with tempfile.TemporaryDirectory(prefix="sealift-program-") as folder:
        path = Path(folder, "program")
        path.write_bytes(program)
        path.chmod(0o755)
        return read_build_info(path)


def read(
    cell: Cell,
    plan: Plan,
    digest: Digest,
    blob: Blob,
    *,
    repository: Repository,
    info_of: Callable[[bytes], BuildInfo] = build_info,
) -> Held:
    """Read one platform's image from its manifest down; ``repository`` is where it ships."""
    manifest = documents.read_manifest(blob(digest), f"the manifest of {cell}").value
    config = documents.read_configuration(blob(manifest.config.digest), f"the configuration of {cell}").value
    layers = (blob(layer.digest) for layer in manifest.layers)
    rootfs = Rootfs(layers, repository.at(digest), config.rootfs.diff_ids)
    program = rootfs.read(f"/{plan.config.service}")
    info = info_of(program)
    contents = Contents.of(
        rootfs,
        repository=repository,
        digest=digest,
        service=plan.config.service,
        version=plan.version,
        main=info.main_module.path,
        go_version=info.go_version,
        modules=(module.name for module in info.modules),
    )
    return Held(program=Digest.of(program), info=info, contents=contents)


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images of one release, as evidence tells of them and as their bytes are.

    ``known`` keeps what was read, for what a digest names does not change.
    """

    plan: Plan
    world: World
    built: Mapping[str, Built]
    blobs: Mapping[str, Blob]
    known: dict[Digest, Held]

    def held(self) -> dict[Cell, Held]:
        """Read the images of all cells."""
        return dict(zip(self.plan.cells, together(self.held_of, self.plan.cells), strict=True))

    def held_of(self, cell: Cell) -> Held:
        """Read one platform's image, once."""
        digest = self.built[cell.variant].platforms[cell.platform].digest
        if (found := self.known.get(digest)) is None:
            repository = self.world.repository(self.plan.variant(cell.variant).repository)
            found = read(cell, self.plan, digest, self.blobs[cell.variant], repository=repository)
            self.known[digest] = found
        return found

    def check(self, looks: Looks, said: Sequence[Statement]) -> None:
        """Compare evidence, and all that is said of the images, with them."""
        for variant, built in self.built.items():
            _look(looks, variant, self._odd_index(variant, built))
        # Of another image than its index names, nothing else would count.
        looks.done(means=NOT_OF_THE_IMAGE, next_step=RELEASE)
        for cell, held in self.held().items():
            _look(looks, str(cell), self._odd_cell(cell, held, said))
        looks.done(means=NOT_OF_THE_IMAGE, next_step=RELEASE)

    def _odd_index(self, variant: str, built: Built) -> Iterator[str]:
        named = read_platforms(variant, built.digest, self.blobs[variant])
        told = {Platform(name): platform.digest for name, platform in built.platforms.items()}
        yield from documents.differences(named, told, "platforms of the index")
        yield from documents.differences(sorted(self.plan.config.platforms), sorted(named), "platforms")
        base = self.world.bases[self.plan.variant(variant).base].digest
        yield from documents.differences(base, built.base_digest, "base")

    def _odd_cell(self, cell: Cell, held: Held, said: Sequence[Statement]) -> Iterator[str]:
        recorded = self.built[cell.variant].platforms[cell.platform].binary_sha256
        yield from documents.differences(held.program.hex, recorded, "binary")
        yield from documents.differences(self.plan.commit, held.info.vcs_revision, "commit of the binary")
        mine = {s.predicate_type: s.predicate for s in said if s.subject.digest == held.contents.digest}
        for kind, name in LISTS.items():
            yield from (f"{name}: {words}" for words in differences(mine[kind], held.contents))
        scan = scan_differences(mine[PredicateType.VULNERABILITIES], held.contents)
        yield from (f"scan: {words}" for words in scan)


def read_platforms(variant: str, digest: Digest, blob: Blob) -> dict[Platform, Digest]:
    """Read which manifest an index names for each platform."""
    index = documents.read_index(blob(digest), f"the index of {variant}").value
    return {
        Platform.of_oci({"os": p.os, "architecture": p.architecture, "variant": p.variant}): entry.digest
        for entry in index.manifests
        if (p := entry.platform) is not None
    }


def check_assets(
    looks: Looks,
    plan: Plan,
    held: Mapping[Cell, Held],
    assets: Mapping[str, Digest],
    lists: Mapping[str, bytes],
    said: Sequence[Statement],
) -> None:
    """Compare the release's files with the images and with what is signed of them.

    ``assets`` has the hash of each file, and ``lists`` the bytes of all but the binaries.
    """
    wanted = {name for cell in plan.cells for name in names(plan, cell)}
    _look(looks, "release", documents.differences(sorted({*wanted, CHECKSUMS}), sorted(assets), "files"))
    looks.done(means=NOT_OF_THE_IMAGE, next_step=RELEASE)
    sums = {name: digest for name, digest in assets.items() if name != CHECKSUMS}
    looks.true(
        lists[CHECKSUMS] == sums_of(sums),
        f"{CHECKSUMS} names these files and no others",
        f"{CHECKSUMS} does not name exactly the other files, by their hashes",
    )
    for cell, there in held.items():
        binary, *both = names(plan, cell)
        odd = [*documents.differences(there.program, assets[binary], binary)]
        for name, kind in zip(both, LISTS, strict=True):
            odd += documents.differences(Digest.of(lists[name]), assets[name], name)
            mine = (there.contents.digest, kind)
            if [_json(lists[name], name)] != [
                s.predicate for s in said if (s.subject.digest, s.predicate_type) == mine
            ]:
                odd.append(f"{name} is not what is signed of it")
        _look(looks, f"files of {cell}", odd)


def scan_differences(predicate: JSON, image: Contents) -> Iterator[str]:
    """Say in what a scan's predicate is not of an image, or did not look at all that is in it."""
    name = image.repository.at(image.digest)
    match predicate.get("scanner"):
        case {
            "result": {
                "ArtifactName": str(artifact),
                "Metadata": {"RepoDigests": [*digests]},
                "Results": [*results],
            }
        }:
            if artifact != name:
                yield f"it is of {artifact}, not of {name}"
            if digests != [name]:
                yield f"it looked at {', '.join(map(str, digests)) or 'nothing'}, not at {name}"
            try:
                yield from _odd_packages(results, image)
            except (AttributeError, KeyError, TypeError, ValueError) as err:
                yield f"its packages cannot be read: {type(err).__name__} {err}"
        case _:
            yield "it does not say what was scanned"


def _odd_packages(results: Sequence[JSON], image: Contents) -> Iterator[str]:
    packages = [package for result in results for package in result.get("Packages", ())]
    named = [(p["Name"], PackageURL.from_string(p["Identifier"]["PURL"])) for p in packages]
    modules = {go_module(url, name) for name, url in named if url.type == "golang"}
    yield from odd_packages([url for _, url in named], modules, image)


def _json(data: bytes, name: str) -> JSON:
    try:
        return decode(data, JSON)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise RefusedError(f"{name} is not JSON: {err}") from err


def _look(looks: Looks, what: str, odd: Sequence[str] | Iterator[str]) -> None:
    found = list(odd)
    for words in found:
        looks.refused(f"{what}: {words}")
    if not found:
        looks.passed(f"{what}: of this image, and of nothing else")
