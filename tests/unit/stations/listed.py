"""A small image that can be listed: its layers, what Go says of its program, and its lists in both forms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from sealift.elf.gobuild import MAGIC
from sealift.model.modules import GoModule
from sealift.model.names import Digest, Platform, Repository
from sealift.model.plan import Plan
from sealift.oci.documents import CONFIG, INDEX, LAYER, MANIFEST
from sealift.rehearsal.oci_writer import LayerTar, Packed, Writer
from sealift.stations.contents import SCANNER
from sealift.stations.image import labels
from sealift.stations.sbom import Contents
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


def program(salt: bytes = b"", *modules: GoModule, commit: str = COMMIT) -> bytes:
    """Give what begins as a program does, with what Go's linker writes into it."""
    lines = [f"path\t{MAIN}/cmd/{SERVICE}", f"mod\t{MAIN}\t(devel)\t"]
    lines += [f"dep\t{module.path}\t{module.version}\th1:x=" for module in modules or (LIB,)]
    told = "\n".join([*lines, "build\tCGO_ENABLED=0", f"build\tvcs.revision={commit}", ""])
    text = b"0" * 16 + told.encode() + b"1" * 16
    strings = b"".join(bytes([len(s) & 0x7F | 0x80, len(s) >> 7]) + s for s in (GO.encode(), text))
    return b"\x7fELF" + salt + MAGIC + bytes([8, 2]) + bytes(16) + strings


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


def scanned(image: Contents, config: Digest) -> JSON:
    """Write the predicate of a scan of an image, in which nothing was found."""
    name, moment = image.repository.at(image.digest), "2026-11-30T12:00:00Z"
    packages = [{"Name": n, "Identifier": {"PURL": url}} for _, n, _, url in entries(image) if url]
    return {
        "scanner": {
            "uri": f"{SCANNER}v0.74.0",
            "version": "v0.74.0",
            "db": {"uri": "", "version": "sha256:0", "lastUpdate": moment},
            "result": {
                "ArtifactName": name,
                "Metadata": {"ImageID": config, "RepoDigests": [name]},
                "Results": [{"Packages": packages}],
            },
        },
        "metadata": {"scanStartedOn": moment, "scanFinishedOn": moment},
    }


def layers(program: bytes) -> list[Packed]:
    return [base().pack(), LayerTar().file(SERVICE, program, 0o755).pack()]


def write(new: Writer, plan: Plan, platform: Platform, salt: bytes = b"") -> JSON:
    """Write the image of one platform into a layout, and return its descriptor."""
    config = {"Entrypoint": [f"/{SERVICE}"], "Labels": labels(plan)}
    return new.image(platform, layers(program(salt)), config=config, annotations={})


def blobs(platform: Platform, program: bytes, plan: Plan) -> tuple[dict[Digest, bytes], JSON]:
    """Write one platform's image; return what it consists of, and how an index names it."""
    packed = layers(program)
    target = {"os": platform.os, "architecture": platform.arch}
    config = msgspec.json.encode(
        {
            **target,
            "config": {"Entrypoint": [f"/{SERVICE}"], "Labels": labels(plan)},
            "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in packed]},
        }
    )
    manifest = msgspec.json.encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(config, CONFIG),
            "layers": [descriptor(layer.blob, LAYER) for layer in packed],
        }
    )
    parts = [manifest, config, *(layer.blob for layer in packed)]
    return {Digest.of(part): part for part in parts}, {**descriptor(manifest, MANIFEST), "platform": target}


def config_of(manifest: bytes) -> Digest:
    """Return the digest of the configuration that a manifest names."""
    return Digest(json.loads(manifest)["config"]["digest"])


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
