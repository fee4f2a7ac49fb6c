"""What is said of an image, and what is published beside it, against the image's own bytes.

A file of the run folder is another job's claim. An image is not: a digest names its every byte, and the
registry, the signatures and the tags name that digest. So the binary, the lists and the scan are held
against the layers below it, wherever those are read from: the run folder's layout or the registry.

    images = Images(plan=plan, world=world, built=built, blobs=blobs, known={})
    images.check(looks, statements)
    check_assets(looks, plan, images.held(), assets, lists, statements)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from packageurl import PackageURL

from sealift.elf.gobuild import build_info_of
from sealift.elf.rootfs import Rootfs
from sealift.errors import RefusedError, UsageError
from sealift.model.claims import Certified
from sealift.model.codec import convert, decode
from sealift.model.evidence import Built
from sealift.model.names import Digest, Platform, Repository
from sealift.model.plan import Cell, Plan
from sealift.model.statements import JSON, PredicateType, Statement, Subject
from sealift.model.world import World
from sealift.oci import documents
from sealift.stations.assets import CHECKSUMS, names, sums_of
from sealift.stations.gate import Looks
from sealift.stations.image import labels
from sealift.stations.provenance import Known
from sealift.stations.sbom import Contents, differences, odd_packages
from sealift.stations.together import together
from sealift.tools.attested import Attested
from sealift.tools.gobinary import BuildInfo
from sealift.tools.registry import Registry
from sealift.tools.sbom import go_module

# Gives the bytes that a digest names: a manifest's, a configuration's or a layer's.
Blob = Callable[[Digest], bytes]
NOT_OF_THE_IMAGE = "the run folder holds what is not of the image: somebody changed it after it was built"
RELEASE = "sealift release"
LISTS = {PredicateType.SPDX: "SPDX", PredicateType.CYCLONEDX: "CycloneDX"}
SCANNER = "pkg:github/aquasecurity/trivy@"


@dataclass(frozen=True, kw_only=True)
class Held:
    """One platform's image by its own bytes: its program's hash and build info, and all that it holds.

    ``config`` is the hash of its configuration.
    """

    program: Digest
    info: BuildInfo
    contents: Contents
    config: Digest
    labels: Mapping[str, str]


def read(plan: Plan, digest: Digest, blob: Blob, *, repository: Repository) -> Held:
    """Read one platform's image from its manifest down; ``repository`` is where it ships.

    Raises RefusedError for what is no image of this service.
    """
    what = repository.at(digest)
    manifest = documents.read_manifest(blob(digest), f"the manifest {what}").value
    raw = blob(manifest.config.digest)
    config = documents.read_configuration(raw, f"the configuration of {what}").value
    layers = (blob(layer.digest) for layer in manifest.layers)
    try:
        rootfs = Rootfs(layers, what, config.rootfs.diff_ids)
        program = rootfs.read(f"/{plan.config.service}")
        info = build_info_of(program, f"/{plan.config.service} of {what}")
    except (UsageError, KeyError) as err:
        raise RefusedError(f"{what} holds no service of this pipeline: {err}") from err
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
    return Held(
        program=Digest.of(program),
        info=info,
        contents=contents,
        config=manifest.config.digest,
        labels=config.config.labels or {},
    )


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
            found = read(self.plan, digest, self.blobs[cell.variant], repository=repository)
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
        scan = scan_differences(mine[PredicateType.VULNERABILITIES], held)
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


class _Database(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    last_update: datetime


class _Metadata(msgspec.Struct, frozen=True, kw_only=True):
    image: str = msgspec.field(name="ImageID")
    digests: tuple[str, ...] = msgspec.field(name="RepoDigests")


class _Result(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    artifact_name: str
    metadata: _Metadata
    results: tuple[JSON, ...]


class _Scanner(msgspec.Struct, frozen=True, kw_only=True):
    uri: str
    version: str
    db: _Database
    result: _Result


class _Times(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    scan_started_on: datetime
    scan_finished_on: datetime


class _Scan(msgspec.Struct, frozen=True, kw_only=True):
    scanner: _Scanner
    metadata: _Times


def scan_differences(predicate: JSON, held: Held) -> Iterator[str]:
    """Say in what a scan's predicate is not of an image, or did not look at all that is in it.

    What it found, only another scan can tell.
    """
    try:
        scan = convert(predicate, _Scan)
    except msgspec.ValidationError as err:
        yield f"it is not in the form of Trivy's: {err}"
        return
    scanner, result, name = (
        scan.scanner,
        scan.scanner.result,
        held.contents.repository.at(held.contents.digest),
    )
    pairs = {
        "scanner": (f"{SCANNER}{scanner.version}", scanner.uri),
        "image": (name, result.artifact_name),
        "digests": ((name,), result.metadata.digests),
        "configuration": (held.config, result.metadata.image),
    }
    yield from (f"{what}: expected {want}, got {got}" for what, (want, got) in pairs.items() if want != got)
    if scan.metadata.scan_finished_on < scan.metadata.scan_started_on:
        yield "it ended before it began"
    try:
        yield from _odd_packages(result.results, held.contents)
    except (AttributeError, KeyError, TypeError, ValueError) as err:
        yield f"its packages cannot be read: {type(err).__name__} {err}"


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


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads each image of one variant once from the registry, as a reader of a release does.

    Such a reader has neither the run folder nor the programs that made the lists.
    """

    known: Known
    registry: Registry
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _read: dict[Subject, Held] = field(default_factory=dict, repr=False, compare=False)

    def image(self, subject: Subject) -> Held:
        """Read an image."""

        def blob(digest: Digest) -> bytes:
            if digest == subject.digest:
                return self.registry.manifest(str(subject))
            return self.registry.blob(subject.repository, digest)

        with self._lock:
            if subject not in self._read:
                self._read[subject] = read(
                    self.known.plan, subject.digest, blob, repository=subject.repository
                )
            return self._read[subject]

    def problems(self, subject: Subject, said: Attested) -> Iterator[str]:
        """Say in what a list or a report contradicts the image, and the image who signed it."""
        match said.predicate_type:
            case PredicateType.SIGNATURE:
                yield from label_problems(self.known, said.certified, self.image(subject).labels)
            case PredicateType.SPDX | PredicateType.CYCLONEDX as kind:
                contents = self.image(subject).contents
                name = LISTS[PredicateType(kind)]
                yield from (f"{name}: {words}" for words in differences(said.predicate, contents))
            case PredicateType.VULNERABILITIES:
                odd = scan_differences(said.predicate, self.image(subject))
                yield from (f"scan: {words}" for words in odd)


def label_problems(known: Known, certified: Certified, found: Mapping[str, str]) -> Iterator[str]:
    """Say which label of an image contradicts its certificate, or the plan; a base's own labels stay.

    An older version of this pipeline may have written fewer: only what is there is compared with the plan.
    """
    prefix = "org.opencontainers.image"
    wanted = {n: v for n, v in labels(known.plan).items() if n in found} if known.whole else {}
    wanted |= {
        f"{prefix}.version": str(known.plan.version),
        f"{prefix}.revision": certified.get("commit", ""),
        f"{prefix}.source": certified.get("repository", ""),
    }
    for name, want in wanted.items():
        if (got := found.get(name)) != want:
            yield f"the image's label {name}: expected {want}, got {got}"
