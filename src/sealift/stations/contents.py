"""Compare what is attested of an image with the image itself, read from the registry alone.

A reader of a release has neither the run folder nor the programs that made the lists.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from sealift.elf.gobuild import build_info_of
from sealift.elf.rootfs import Rootfs
from sealift.errors import RefusedError, UsageError
from sealift.model.claims import Certified
from sealift.model.codec import convert
from sealift.model.modules import GoModule
from sealift.model.names import Digest
from sealift.model.plan import Plan
from sealift.model.statements import JSON, PredicateType, Subject
from sealift.oci import documents
from sealift.stations.gate import Looks
from sealift.stations.image import labels
from sealift.stations.provenance import Known
from sealift.stations.sbom import Contents, debian_packages, look_list
from sealift.tools.attested import Attested
from sealift.tools.registry import Registry

LISTS = {PredicateType.SPDX: "SPDX", PredicateType.CYCLONEDX: "CycloneDX"}
SCANNER = "pkg:github/aquasecurity/trivy@"


@dataclass(frozen=True, kw_only=True)
class Image:
    """One platform's image as a registry holds it; ``config`` is the hash of its configuration."""

    config: Digest
    labels: Mapping[str, str]
    contents: Contents


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads each image of one variant once, where something that is said of it has to be compared."""

    known: Known
    registry: Registry
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _read: dict[Subject, Image] = field(default_factory=dict, repr=False, compare=False)

    def image(self, subject: Subject) -> Image:
        """Read an image."""
        with self._lock:
            if subject not in self._read:
                self._read[subject] = read_image(subject, self.known.plan, self.registry)
            return self._read[subject]

    def problems(self, subject: Subject, said: Attested) -> Iterator[str]:
        """Say in what a list or a report contradicts the image, and the image who signed it."""
        match said.predicate_type:
            case PredicateType.SIGNATURE:
                yield from label_problems(self.known, said.certified, self.image(subject).labels)
            case PredicateType.SPDX | PredicateType.CYCLONEDX as kind:
                contents = self.image(subject).contents
                yield from list_problems(LISTS[PredicateType(kind)], said.predicate, contents)
            case PredicateType.VULNERABILITIES:
                yield from scan_problems(said.predicate, subject, self.image(subject).config)


def read_image(subject: Subject, plan: Plan, registry: Registry) -> Image:
    """Read the packages of an image's layers, and the modules that Go wrote into its program."""
    repository, what = subject.repository, f"the image {subject}"
    manifest = documents.read_manifest(registry.manifest(str(subject)), what).value
    raw = registry.blob(repository, manifest.config.digest)
    config = documents.read_configuration(raw, f"the configuration of {what}").value
    layers = (registry.layer(repository, layer.digest) for layer in manifest.layers)
    try:
        rootfs = Rootfs(layers, what, tuple(map(str, config.rootfs.diff_ids)))
        program = (config.config.entrypoint or ("",))[0]
        info = build_info_of(rootfs.read(program), f"{program} of {what}")
        packages = debian_packages(rootfs)
    except (UsageError, KeyError, UnicodeDecodeError) as err:
        raise RefusedError(f"{what} holds no service of this pipeline: {err}") from err
    return Image(
        config=manifest.config.digest,
        labels=config.config.labels or {},
        contents=Contents(
            packages=packages,
            modules=frozenset({*(m.name for m in info.modules), GoModule.stdlib(info.go_version)}),
            main=GoModule.of(info.main_module.path, f"v{plan.version}"),
        ),
    )


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


def list_problems(name: str, document: JSON, contents: Contents) -> Iterator[str]:
    """Say what is missing in a list of an image, and what it invents."""
    looks = Looks("verify", name)
    try:
        look_list(looks, name, document, contents)
    except (KeyError, TypeError, ValueError, AttributeError) as err:
        yield f"{name}: not in the form of one: {err!r}"
        return
    yield from (gate.detail for gate in looks.gates if gate.verdict == "refused")


class _Database(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    version: str
    last_update: datetime


class _Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    image_id: str = msgspec.field(name="ImageID")


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


def scan_problems(predicate: JSON, subject: Subject, config: Digest) -> Iterator[str]:
    """Say in what a scanner's report is not of this image; what it found, only another scan can tell."""
    try:
        scan = convert(predicate, _Scan)
    except msgspec.ValidationError as err:
        yield f"the scan is not in the form of Trivy's: {err}"
        return
    scanner, result = scan.scanner, scan.scanner.result
    pairs = {
        "scanner": (f"{SCANNER}{scanner.version}", scanner.uri),
        "image": (str(subject), result.artifact_name),
        "configuration": (config, result.metadata.image_id),
    }
    for name, (want, got) in pairs.items():
        if want != got:
            yield f"the scan's {name}: expected {want}, got {got}"
    if not result.results:
        yield "the scan looked at nothing"
    if scan.metadata.scan_finished_on < scan.metadata.scan_started_on:
        yield "the scan ended before it began"
