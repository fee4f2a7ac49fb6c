"""Trivy, asked about one platform of an image in a registry, without any credentials or network beyond it.

    report = scan("127.0.0.1:5000/app@sha256:...", Platform("linux/arm64"), cache_dir=cache)
    assert report.platform == "linux/arm64"

Trivy is given an empty home, an empty registry configuration and an empty working folder: a trivy.yaml or
a .trivyignore that lies about would change what it reports. It speaks plain HTTP to loopback on its own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from sealift import network, process
from sealift.environment import search_path
from sealift.errors import OutsideError
from sealift.model.codec import decode
from sealift.model.modules import GoModule
from sealift.model.names import Digest, Platform
from sealift.model.statements import JSON
from sealift.tools.sbom import as_trivy_writes, purl

T = TypeVar("T")
Severity = Literal["UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
SbomFormat = Literal["spdx-json", "cyclonedx"]

OFFLINE = (
    *("--offline-scan", "--skip-db-update", "--skip-java-db-update", "--skip-version-check"),
    *("--skip-vex-repo-update", "--disable-telemetry", "--quiet"),
)


@dataclass(frozen=True, kw_only=True)
class TrivyFinding:
    """One weakness in one package. ``status`` is Trivy's word: fixed, affected, will_not_fix, ..."""

    id: str
    aliases: tuple[str, ...]
    package: str
    installed: str
    fixed: str | None
    severity: Severity
    status: str
    kind: str
    target: str
    purl: str
    title: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """One thing inside the image that Trivy looked into, and how many packages it saw there."""

    name: str
    kind: str
    type: str
    packages: int


@dataclass(frozen=True, kw_only=True)
class TrivyReport:
    """What Trivy says of one platform.

    ``platform`` and ``digest`` are those it looked at, not those it was asked for.
    """

    platform: Platform
    digest: Digest | None
    system: str | None
    end_of_life: bool
    targets: tuple[Target, ...]
    findings: tuple[TrivyFinding, ...]
    raw: bytes


@dataclass(frozen=True, kw_only=True)
class DatabaseFacts:
    """Which advisories were used."""

    version: int
    updated_at: datetime
    sha256: Digest


def scan(
    reference: str, platform: Platform, *, cache_dir: Path, modules: Mapping[str, GoModule] | None = None
) -> TrivyReport:
    """Look for known weaknesses in one platform of an image.

    ``modules`` are those whose name and version in a Go program are not theirs, by that name.
    """
    _need_database(cache_dir)
    raw = _image(reference, platform, "json", cache_dir)
    return read_report(_with_modules(raw, modules, cache_dir) if modules else raw)


def sbom(reference: str, platform: Platform, *, format: SbomFormat, cache_dir: Path) -> bytes:  # noqa: A002 - Trivy's own word
    """List what is in one platform of an image.

    Trivy writes the time and random identifiers into each list: two lists of one image differ in bytes
    and agree in content.
    """
    return _image(reference, platform, format, cache_dir)


def vuln_predicate(raw: bytes, used: DatabaseFacts, *, cache_dir: Path) -> bytes:
    """Turn a saved report into the predicate that ``cosign attest --type vuln`` carries.

    Trivy leaves the database's place in it empty.
    https://github.com/sigstore/cosign/blob/main/specs/COSIGN_VULN_ATTESTATION_SPEC.md
    """
    with _clean_room() as (env, folder):
        saved, wanted = folder / "report.json", folder / "predicate.json"
        saved.write_bytes(raw)
        argv: list[str | os.PathLike[str]] = [
            *("trivy", "convert", "--quiet", "--cache-dir", cache_dir.absolute()),
            *("--format", "cosign-vuln", "--output", wanted, saved),
        ]
        process.run(argv, env=env, cwd=folder)
        with as_trivy_writes():
            predicate = decode(wanted.read_bytes(), JSON)
            predicate["scanner"]["db"] = {
                "uri": "",
                "version": str(used.sha256),
                "lastUpdate": used.updated_at.isoformat(),
            }
    return msgspec.json.encode(predicate)


def download_database(cache_dir: Path) -> None:
    """Fetch the newest database from where Trivy publishes it."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    with _clean_room() as (env, folder):
        argv = ["trivy", "image", "--download-db-only", "--quiet", "--disable-telemetry"]
        try:
            process.run(
                [*argv, "--cache-dir", cache_dir.absolute()], env=env | network.network_env(), cwd=folder
            )
        except process.ProgramFailedError as error:
            what = "Trivy's advisory database could not be fetched"
            if proxy := network.blamed(what, error.done.stderr):
                raise proxy from error
            raise OutsideError(
                f"{what}: {error.happened}",
                means="nothing newer can be looked up than what the cache has",
                next_step="run again when it answers",
            ) from error


def database(cache_dir: Path) -> DatabaseFacts:
    """Say which advisories are in a cache folder."""
    _need_database(cache_dir)
    metadata = _decode((cache_dir / "db" / "metadata.json").read_bytes(), _Metadata)
    return DatabaseFacts(
        version=metadata.version,
        updated_at=metadata.updated_at,
        sha256=Digest.of_file(cache_dir / "db" / "trivy.db"),
    )


def _image(reference: str, platform: Platform, format: str, cache_dir: Path) -> bytes:  # noqa: A002 - Trivy's own word
    with _clean_room() as (env, folder):
        wanted = folder / "output"
        argv: list[str | os.PathLike[str]] = [
            *("trivy", "image", "--image-src", "remote", "--platform", str(platform)),
            *("--scanners", "vuln", *OFFLINE, "--cache-dir", cache_dir.absolute()),
            # The file cache takes one process at a time; the line scans platforms side by side.
            *("--cache-backend", "memory", "--format", format, "--output", wanted, reference),
        ]
        process.run(argv, env=env, cwd=folder)
        return wanted.read_bytes()


def _with_modules(raw: bytes, modules: Mapping[str, GoModule], cache_dir: Path) -> bytes:
    """Say of some modules in a report what is known against them by their own name and version."""
    report = _decode(raw, JSON)
    known = _look_up(tuple(modules.values()), cache_dir)
    with as_trivy_writes():
        return _renamed(report, modules, known)


def _renamed(report: JSON, modules: Mapping[str, GoModule], known: list[JSON]) -> bytes:
    for result in report.get("Results", ()):
        if result.get("Type") != "gobinary":
            continue
        found = [v for v in result.get("Vulnerabilities", ()) if v["PkgName"] not in modules]
        names = {}
        for package in result.get("Packages", ()):
            if (module := modules.get(package["Name"])) is None:
                continue
            names[package.get("ID", "")] = str(module)
            identifier = {**package.get("Identifier", {}), "PURL": purl(module)}
            package |= {
                "ID": str(module),
                "Name": module.path,
                "Version": module.version,
                "Identifier": identifier,
            }
            found += [{**v, "PkgIdentifier": identifier} for v in known if v["PkgID"] == str(module)]
        for package in result.get("Packages", ()):
            if "DependsOn" in package:
                package["DependsOn"] = [names.get(name, name) for name in package["DependsOn"]]
        result["Vulnerabilities"] = found
    return msgspec.json.encode(report)


def _look_up(modules: tuple[GoModule, ...], cache_dir: Path) -> list[JSON]:
    """Return what Trivy finds for some modules alone, by a list that names them."""
    kind = [{"name": "aquasecurity:trivy:PkgType", "value": "gobinary"}]
    components = [
        {
            "bom-ref": str(m),
            "type": "library",
            "name": m.path,
            "version": m.version,
            "purl": purl(m),
            "properties": kind,
        }
        for m in modules
    ]
    with _clean_room() as (env, folder):
        listed, wanted = folder / "modules.json", folder / "output"
        listed.write_bytes(
            msgspec.json.encode({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components})
        )
        argv: list[str | os.PathLike[str]] = [
            *("trivy", "sbom", "--scanners", "vuln", *OFFLINE, "--cache-dir", cache_dir.absolute()),
            *("--cache-backend", "memory", "--format", "json", "--output", wanted, listed),
        ]
        process.run(argv, env=env, cwd=folder)
        report = _decode(wanted.read_bytes(), JSON)
    with as_trivy_writes():
        return [v for result in report.get("Results", ()) for v in result.get("Vulnerabilities", ())]


@contextmanager
def _clean_room() -> Iterator[tuple[dict[str, str], Path]]:
    """Give an environment without credentials, and an empty working folder."""
    with tempfile.TemporaryDirectory(prefix="trivy-") as name:
        root = Path(name)
        for part in ("home", "docker", "tmp", "work"):
            (root / part).mkdir()
        env = {
            "PATH": search_path(),
            "HOME": str(root / "home"),
            "DOCKER_CONFIG": str(root / "docker"),
            "TMPDIR": str(root / "tmp"),
        }
        yield env, root / "work"


def _need_database(cache_dir: Path) -> None:
    if not all((cache_dir / "db" / name).is_file() for name in ("trivy.db", "metadata.json")):
        raise OutsideError(
            f"there is no advisory database in {cache_dir}",
            means="nothing can be looked up, so nothing would be found",
            next_step="sealift doctor",
            again=False,
        )


def read_report(raw: bytes) -> TrivyReport:
    """Read Trivy's JSON."""
    report = _decode(raw, _Report)
    about = report.metadata
    system = about.os
    return TrivyReport(
        platform=Platform.of_oci(msgspec.structs.asdict(about.image_config)),
        digest=_digest(about.repo_digests),
        system=f"{system.family} {system.name}" if system else None,
        end_of_life=system is not None and system.eosl,
        targets=tuple(
            Target(name=r.target, kind=r.class_, type=r.type, packages=len(r.packages))
            for r in report.results
        ),
        findings=tuple(
            _finding(result, found) for result in report.results for found in result.vulnerabilities
        ),
        raw=raw,
    )


def _digest(repo_digests: tuple[str, ...]) -> Digest | None:
    return Digest(repo_digests[0].partition("@")[2]) if repo_digests else None


def _finding(result: _Result, found: _Vulnerability) -> TrivyFinding:
    return TrivyFinding(
        id=found.vulnerability_id,
        aliases=found.vendor_ids,
        package=found.pkg_name,
        installed=found.installed_version,
        fixed=found.fixed_version or None,
        severity=found.severity,
        status=found.status,
        kind=result.class_,
        target=result.target,
        purl=found.identifier.purl,
        title=found.title,
    )


def _decode(raw: bytes, kind: type[T]) -> T:
    with as_trivy_writes():
        return decode(raw, kind)


class _Identifier(msgspec.Struct, frozen=True):
    purl: str = msgspec.field(name="PURL", default="")


class _Vulnerability(msgspec.Struct, frozen=True, rename="pascal"):
    vulnerability_id: str = msgspec.field(name="VulnerabilityID")
    pkg_name: str
    installed_version: str
    severity: Severity
    status: str
    vendor_ids: tuple[str, ...] = msgspec.field(name="VendorIDs", default=())
    fixed_version: str = ""
    title: str = ""
    identifier: _Identifier = msgspec.field(name="PkgIdentifier", default=_Identifier())


class _Result(msgspec.Struct, frozen=True, rename="pascal"):
    target: str
    class_: str = msgspec.field(name="Class")
    type: str = ""
    packages: tuple[msgspec.Raw, ...] = ()
    vulnerabilities: tuple[_Vulnerability, ...] = ()


class _System(msgspec.Struct, frozen=True, rename="pascal"):
    family: str
    name: str
    eosl: bool = msgspec.field(name="EOSL", default=False)


class _ImageConfig(msgspec.Struct, frozen=True):
    architecture: str
    os: str
    variant: str = ""


class _About(msgspec.Struct, frozen=True, rename="pascal"):
    image_config: _ImageConfig
    os: _System | None = msgspec.field(name="OS", default=None)
    repo_digests: tuple[str, ...] = ()


class _Report(msgspec.Struct, frozen=True, rename="pascal"):
    metadata: _About
    results: tuple[_Result, ...] = ()


class _Metadata(msgspec.Struct, frozen=True, rename="pascal"):
    version: int
    updated_at: datetime
