"""What a provenance says, compared with the certificate that signed it and with what is known besides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from sealift.model.claims import Certified
from sealift.model.codec import convert
from sealift.model.config import Strict
from sealift.model.plan import Plan
from sealift.model.statements import BUILD_TYPE, JSON

_SHA256 = re.compile(r"[0-9a-f]{64}")


class _Camel(Strict, frozen=True, kw_only=True, rename="camel"):
    """A value that refuses what it does not know."""


class _Source(Strict, frozen=True, kw_only=True):
    uri: str
    ref: str


class _External(Strict, frozen=True, kw_only=True):
    source: _Source
    service: str
    variant: str
    version: str
    platforms: tuple[str, ...]


class _Internal(_Camel, frozen=True, kw_only=True):
    source_date_epoch: int


class _Dependency(Strict, frozen=True, kw_only=True):
    uri: str = ""
    name: str = ""
    digest: dict[str, str]


class _Definition(_Camel, frozen=True, kw_only=True):
    build_type: str
    external_parameters: _External
    internal_parameters: _Internal
    resolved_dependencies: tuple[_Dependency, ...]


class _Builder(Strict, frozen=True, kw_only=True):
    id: str


class _Metadata(_Camel, frozen=True, kw_only=True):
    invocation_id: str


class _Run(Strict, frozen=True, kw_only=True):
    builder: _Builder
    metadata: _Metadata | None = None


class _Provenance(_Camel, frozen=True, kw_only=True):
    build_definition: _Definition
    run_details: _Run


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a reader of a release knows without its provenance: the variant, the version, and the plan.

    The plan is only that of the version, and not ``whole``, where a checkout does not have its commit.
    """

    plan: Plan
    variant: str
    whole: bool = True


def provenance_problems(
    predicate: JSON, *, builder: str, certified: Certified, known: Known | None = None
) -> Iterator[str]:
    """Say in what a provenance contradicts its certificate, or what is ``known``.

    The base's and the programs' own hashes are the builder's word: only their form can be looked at.
    """
    try:
        said = convert(predicate, _Provenance)
    except msgspec.ValidationError as err:
        yield f"the provenance is not in the form of this pipeline's: {err}"
        return
    build, told = said.build_definition, said.build_definition.external_parameters
    source, ref, commit = (certified.get(name) for name in ("repository", "ref", "commit"))
    made_from = build.resolved_dependencies[0] if build.resolved_dependencies else _Dependency(digest={})
    pairs: dict[str, tuple[object, object]] = {
        "builder": (builder, said.run_details.builder.id),
        "build type": (BUILD_TYPE, build.build_type),
        "source": (f"git+{source}", told.source.uri),
        "ref": (ref, told.source.ref),
        "commit": (commit, made_from.digest.get("gitCommit")),
        "first dependency": (
            (f"git+{source}@{ref}", "", 1),
            (made_from.uri, made_from.name, len(made_from.digest)),
        ),
    }
    if said.run_details.metadata is not None:
        pairs["invocation"] = (certified.get("run"), said.run_details.metadata.invocation_id)
    if known is not None:
        plan = known.plan
        pairs |= {
            "service": (str(plan.config.service), told.service),
            "variant": (known.variant, told.variant),
            "version": (str(plan.version), told.version),
        }
    if known is not None and known.whole:
        pairs |= {
            "platforms": (tuple(map(str, plan.config.platforms)), told.platforms),
            "time": (plan.time, build.internal_parameters.source_date_epoch),
        }
    for name, (want, got) in pairs.items():
        if want != got:
            yield f"the provenance's {name}: expected {want}, got {got}"
    others = build.resolved_dependencies[1:]
    bases = [d for d in others if d.uri.startswith("oci://") and not d.name]
    programs = [d for d in others if d.name and not d.uri]
    if not bases or len(bases) + len(programs) != len(others):
        yield "the provenance's dependencies: expected the source, base images and programs, got others"
    if set(made_from.digest) != {"gitCommit"}:
        yield f"the provenance's commit: expected one digest, got {', '.join(sorted(made_from.digest))}"
    if odd := [d.uri or d.name for d in others if not _is_sha256(d.digest)]:
        yield f"the provenance's dependencies: expected one sha256 each, got others for {', '.join(odd)}"


def _is_sha256(digest: dict[str, str]) -> bool:
    return set(digest) == {"sha256"} and _SHA256.fullmatch(digest["sha256"]) is not None
