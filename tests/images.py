"""The smallest image that holds a service: a program with Go's build info, and one Debian package."""

from __future__ import annotations

from typing import Any

from sealift.elf.gobuild import MAGIC
from sealift.model.names import Digest, Platform
from sealift.model.plan import Plan
from sealift.model.statements import Subject
from sealift.rehearsal.oci_writer import LayerTar, Packed, Writer
from sealift.stations.image import labels

JSON = dict[str, Any]
GO, MAIN = "go1.26.8", "example.com/small"
MODULES = ("example.com/a v1.2.3", "example.com/b v0.1.0")
PACKAGE = {"Package": "tzdata", "Version": "2026a-0+deb12u1"}
DEB = f"pkg:deb/debian/tzdata@{PACKAGE['Version']}?arch=all"


def build_info(*modules: str) -> bytes:
    """Return what Go's linker writes into a program."""
    lines = [f"path\t{MAIN}/cmd/small", f"mod\t{MAIN}\t(devel)\t"]
    lines += ["dep\t{}\t{}\th1:x=".format(*module.split()) for module in modules]
    text = b"0" * 16 + "\n".join([*lines, "build\tCGO_ENABLED=0", ""]).encode() + b"1" * 16
    strings = b"".join(bytes([len(s) & 0x7F | 0x80, len(s) >> 7]) + s for s in (GO.encode(), text))
    return MAGIC + bytes([8, 2]) + bytes(16) + strings


def layer(salt: bytes, *modules: str) -> Packed:
    """Pack the program and the record of the package."""
    status = "".join(f"{key}: {value}\n" for key, value in PACKAGE.items()).encode()
    tree = LayerTar().file("small", b"\x7fELF" + salt + build_info(*modules), 0o755)
    return tree.file("var/lib/dpkg/status.d/tzdata", status).pack()


def write(new: Writer, plan: Plan, platform: Platform, salt: bytes = b"") -> JSON:
    """Write the image of one platform and return its descriptor."""
    config = {"Entrypoint": ["/small"], "Labels": labels(plan)}
    return new.image(platform, [layer(salt, *MODULES)], config=config, annotations={})


def golang(version: str, *modules: str) -> list[str]:
    """Name the Go modules of a list by their package URLs."""
    named = [f"{MAIN} v{version}", f"stdlib {GO.replace('go', 'v')}", *modules]
    return ["pkg:golang/{}@{}".format(*module.split()) for module in named]


def spdx(version: str, modules: tuple[str, ...] = MODULES, *more: str) -> JSON:
    """List the image's contents as SPDX."""
    packages = [
        {"externalRefs": [{"referenceType": "purl", "referenceLocator": url}]}
        for url in (DEB, *golang(version, *modules), *more)
    ]
    return {"spdxVersion": "SPDX-2.3", "packages": packages}


def cyclonedx(version: str, modules: tuple[str, ...] = MODULES, *more: str) -> JSON:
    """List the image's contents as CycloneDX."""
    urls = (DEB, *golang(version, *modules), *more)
    return {"bomFormat": "CycloneDX", "components": [{"purl": url} for url in urls]}


def scan(subject: Subject, config: Digest) -> JSON:
    """Report what Trivy found in the image: nothing."""
    moment = "2026-11-30T12:00:00Z"
    return {
        "invocation": {"parameters": None, "uri": "", "event_id": "", "builder.id": ""},
        "scanner": {
            "uri": "pkg:github/aquasecurity/trivy@v0.74.0",
            "version": "v0.74.0",
            "db": {"uri": "", "version": "sha256:0", "lastUpdate": moment},
            "result": {
                "SchemaVersion": 2,
                "ArtifactName": str(subject),
                "Metadata": {"ImageID": str(config)},
                "Results": [{"Target": "small", "Class": "lang-pkgs"}],
            },
        },
        "metadata": {"scanStartedOn": moment, "scanFinishedOn": moment},
    }
