"""A small image that can be listed: its layers, what Go says of its program, and its lists in both forms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from sealift.model.modules import GoModule
from sealift.model.names import Digest, Platform, Repository
from sealift.oci.documents import CONFIG, INDEX, LAYER, MANIFEST
from sealift.rehearsal.oci_writer import LayerTar
from sealift.stations.sbom import Contents
from sealift.tools.gobinary import BuildInfo, Module
from sealift.tools.sbom import purl
from tests.unit.stations.things import COMMIT

JSON = dict[str, Any]
Entry = tuple[str, str, str, str]
SERVICE, GO = "health-caretaker", "go1.26.8"
MAIN, LIB = "github.com/Owner/service", GoModule("example.com/Lib", "v0.1.0")
TZDATA = ("LIBRARY", "tzdata", "2", "pkg:deb/debian/tzdata@2?arch=all&distro=debian-12.15&epoch=1")


def base() -> LayerTar:
    """Write the files of a base: Debian 12, with one package."""
    return (
        LayerTar()
        .file("etc/os-release", b'NAME="Debian"\nVERSION_ID="12"\nID=debian\n')
        .file("var/lib/dpkg/status.d/tzdata", b"Package: tzdata\nVersion: 1:2\n")
    )


def info_of(program: bytes) -> BuildInfo:
    """Say of any program that it is the service, of one module beside its own."""
    assert program
    return BuildInfo(
        go_version=GO,
        path=f"{MAIN}/cmd/{SERVICE}",
        main_module=Module(path=MAIN, version="(devel)", sum=""),
        modules=(Module(path=LIB.path, version=LIB.version, sum="h1:x"),),
        settings={"vcs.revision": COMMIT},
    )


def entries(image: Contents) -> list[Entry]:
    """Name everything that such an image holds."""
    return [
        ("APPLICATION", SERVICE, "", ""),
        ("OPERATING-SYSTEM", "debian", "12.15", ""),
        TZDATA,
        *(("LIBRARY", m.path, m.version, purl(m)) for m in sorted({*image.modules, image.main})),
    ]


def root(image: Contents) -> str:
    """Write an image's package URL."""
    where = image.repository.replace("/", "%2F")
    return f"pkg:oci/{image.repository.rpartition('/')[2]}@{image.digest}?arch=amd64&repository_url={where}"


def document(
    form: str,
    image: Contents,
    listed: Sequence[Entry] | None = None,
    *,
    name: str | None = None,
    url: str | None = None,
) -> JSON:
    """Write a list of an image as Trivy does."""
    name, url = name or image.repository.at(image.digest), url or root(image)
    found = entries(image) if listed is None else listed
    if form == "SPDX":
        packages = [("CONTAINER", name, "", url), *found]
        return {
            "spdxVersion": "SPDX-2.3",
            "name": name,
            "packages": [
                {
                    "SPDXID": f"SPDXRef-{number}",
                    "name": called,
                    "versionInfo": version,
                    "primaryPackagePurpose": kind,
                    "externalRefs": [{"referenceType": "purl", "referenceLocator": ref}] if ref else [],
                }
                for number, (kind, called, version, ref) in enumerate(packages)
            ],
            "relationships": [{"relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-0"}],
        }
    return {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"type": "container", "name": name, "purl": url}},
        "components": [
            {"type": kind.lower(), "name": called, "version": version} | ({"purl": ref} if ref else {})
            for kind, called, version, ref in found
        ],
    }


def scanned(image: Contents) -> JSON:
    """Write the predicate of a scan of an image."""
    name = image.repository.at(image.digest)
    packages = [{"Name": n, "Identifier": {"PURL": url}} for _, n, _, url in entries(image) if url]
    about = {"ArtifactName": name, "Metadata": {"RepoDigests": [name]}, "Results": [{"Packages": packages}]}
    return {"scanner": {"result": about}}


def blobs(platform: Platform, program: bytes) -> tuple[dict[Digest, bytes], JSON]:
    """Write one platform's image; return what it consists of, and how an index names it."""
    layers = [base().pack(), LayerTar().file(SERVICE, program, 0o755).pack()]
    target = {"os": platform.os, "architecture": platform.arch}
    config = msgspec.json.encode(
        {**target, "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]}}
    )
    manifest = msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(config, CONFIG),
            "layers": [descriptor(layer.blob, LAYER) for layer in layers],
        }
    )
    parts = [manifest, config, *(layer.blob for layer in layers)]
    return {Digest.of(part): part for part in parts}, {**descriptor(manifest, MANIFEST), "platform": target}


def index(children: Sequence[JSON]) -> bytes:
    """Write the index of some platforms."""
    return msgspec.json.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": children})


def descriptor(data: bytes, media_type: str) -> JSON:
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data)}


def contents_of(platform: Digest, repository: Repository, version: str = "v1.2.3") -> Contents:
    """Say what such an image holds."""
    return Contents(
        repository=repository,
        digest=platform,
        system="debian 12",
        service=SERVICE,
        debian=frozenset({"tzdata@1:2"}),
        main=GoModule(MAIN, version),
        modules=frozenset({LIB, GoModule.stdlib(GO)}),
    )
