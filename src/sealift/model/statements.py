"""What is said about an image, and who may say it: in-toto statements as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from sealift.model.names import Digest, Platform, Repository, Version

JSON = dict[str, Any]

BUILD_TYPE = "https://github.com/sealift/sealift/buildtypes/oci-image/v1"


class PredicateType(StrEnum):
    """What a statement says, by the URI that stands in it."""

    SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
    PROVENANCE = "https://slsa.dev/provenance/v1"
    SPDX = "https://spdx.dev/Document"
    CYCLONEDX = "https://cyclonedx.org/bom"
    VULNERABILITIES = "https://cosign.sigstore.dev/attestation/vuln/v1"
    OPENVEX = "https://openvex.dev/ns"

    @property
    def alias(self) -> str:
        """The word that ``cosign verify-attestation --type`` takes; the signature has none but its URI."""
        return _ALIASES.get(self, str(self))

    @property
    def changing(self) -> Sequence[tuple[str, ...]]:
        """The fields that differ each time the same thing is said again."""
        return _CHANGING.get(self, ())


_ALIASES = {
    PredicateType.PROVENANCE: "slsaprovenance1",
    PredicateType.SPDX: "spdxjson",
    PredicateType.CYCLONEDX: "cyclonedx",
    PredicateType.VULNERABILITIES: "vuln",
    PredicateType.OPENVEX: "openvex",
}

_CHANGING: Mapping[PredicateType, Sequence[tuple[str, ...]]] = {
    PredicateType.PROVENANCE: [("runDetails", "metadata")],
    PredicateType.VULNERABILITIES: [
        ("metadata",),
        ("scanner", "result", "CreatedAt"),
        ("scanner", "result", "ReportID"),
    ],
    PredicateType.SPDX: [("creationInfo", "created"), ("documentNamespace",)],
    PredicateType.CYCLONEDX: [("serialNumber",), ("metadata", "timestamp")],
    PredicateType.OPENVEX: [("@id",), ("timestamp",)],
}

ON_INDEX = (PredicateType.SIGNATURE, PredicateType.PROVENANCE)
ON_PLATFORM = (*ON_INDEX, PredicateType.SPDX, PredicateType.CYCLONEDX, PredicateType.VULNERABILITIES)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One manifest, where it lies."""

    repository: Repository
    digest: Digest

    def __str__(self) -> str:
        return self.repository.at(self.digest)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One thing said about one manifest."""

    subject: Subject
    predicate_type: PredicateType
    predicate: JSON

    def says_the_same(self, predicate: JSON) -> bool:
        """Tell whether another predicate of this type has this content; times and run numbers may differ."""
        paths = self.predicate_type.changing
        return _without(self.predicate, paths) == _without(predicate, paths)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who signs: the certificate's subject alternative name, and who vouched for it."""

    san: str
    issuer: str


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What the certificate says of the workflow run; what is None is not asked.

    ``workflow`` is the workflow's name and ``workflow_file`` its path; GitHub's numbers of the repository and
    its owner stay when a name is given to another owner.
    """

    repository: str | None = None
    commit: str | None = None
    ref: str | None = None
    workflow: str | None = None
    trigger: str | None = None
    workflow_file: str | None = None
    repository_id: str | None = None
    owner_id: str | None = None
    run_id: str | None = None
    visibility: str | None = None
    self_hosted: bool = False


def signature(subject: Subject) -> Statement:
    """Say what ``cosign sign`` says: this digest is mine."""
    return Statement(subject=subject, predicate_type=PredicateType.SIGNATURE, predicate={})


def provenance(
    *,
    source: str,
    commit: str,
    ref: str,
    version: Version,
    service: str,
    variant: str,
    platforms: Sequence[Platform],
    time: int,
    base: str,
    base_digests: Sequence[Digest],
    programs: Mapping[str, Digest],
    builder: str,
    invocation: str | None = None,
) -> JSON:
    """Say how an image was made, as SLSA provenance v1; no level is claimed.

    ``source`` is a URL without a scheme prefix (``https://github.com/owner/name``); ``programs`` are the
    programs that made the image and their own hashes; ``builder`` is the workflow's identity. The
    same release gives the same predicate, except for ``invocation``: no clock is read.
    """
    dependencies: list[JSON] = [{"uri": f"git+{source}@{ref}", "digest": {"gitCommit": commit}}]
    dependencies += [{"uri": f"oci://{base}", "digest": {"sha256": d.hex}} for d in base_digests]
    dependencies += [{"name": n, "digest": {"sha256": d.hex}} for n, d in sorted(programs.items())]
    run: JSON = {"builder": {"id": builder}}
    if invocation is not None:
        run["metadata"] = {"invocationId": invocation}
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "source": {"uri": f"git+{source}", "ref": ref},
                "service": service,
                "variant": variant,
                "version": str(version),
                "platforms": [str(p) for p in platforms],
            },
            "internalParameters": {"sourceDateEpoch": time},
            "resolvedDependencies": dependencies,
        },
        "runDetails": run,
    }


def predicate_digest(predicate: JSON) -> Digest:
    """Name a predicate by its content, whatever the order of its members."""
    return Digest.of(msgspec.json.encode(predicate, order="sorted"))


def _without(value: JSON, paths: Sequence[tuple[str, ...]]) -> JSON:
    for path in paths:
        value = _drop(value, path)
    return value


def _drop(value: JSON, path: tuple[str, ...]) -> JSON:
    first, rest = path[0], path[1:]
    if first not in value:
        return value
    kept = {k: v for k, v in value.items() if k != first}
    if rest and isinstance(value[first], dict):
        kept[first] = _drop(value[first], rest)
    return kept
