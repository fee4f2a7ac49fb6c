"""Everything that is said about a release: the statements that sign makes and verify wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sealift.model.evidence import Built, Listed, Scanned
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.model.statements import PredicateType, Statement, Subject, provenance, signature
from sealift.model.world import World


def subjects(variant: str, plan: Plan, built: Built, world: World) -> tuple[Subject, tuple[Subject, ...]]:
    """Return one variant's index and its platforms, where the public registry holds them."""
    repository = world.repository(plan.variant(variant).repository)
    platforms = tuple(Subject(repository=repository, digest=p.digest) for p in built.platforms.values())
    return Subject(repository=repository, digest=built.digest), platforms


def provenance_of(variant: str, plan: Plan, built: Built, world: World) -> dict[str, object]:
    """Say how one variant was made."""
    return provenance(
        source=plan.config.source_url,
        commit=plan.commit,
        ref=f"refs/tags/{plan.version.git_tag}",
        version=plan.version,
        service=plan.config.service,
        variant=variant,
        platforms=plan.config.platforms,
        time=plan.time,
        base=world.bases[plan.variant(variant).base].name,
        base_digests=[built.base_digest],
        programs=built.programs,
        builder=world.sigstore.identity.san,
    )


def statements(
    plan: Plan,
    images: Mapping[str, Built],
    scans: Mapping[Cell, Scanned],
    lists: Mapping[Cell, Listed],
    *,
    world: World,
    run: RunFolder,
) -> tuple[Statement, ...]:
    """Gather what is said about every index and platform; ``run`` holds the lists and reports."""
    return tuple(
        statement
        for variant, built in images.items()
        for statement in _of_variant(variant, plan, built, scans, lists, world, run)
    )


def _of_variant(
    variant: str,
    plan: Plan,
    built: Built,
    scans: Mapping[Cell, Scanned],
    lists: Mapping[Cell, Listed],
    world: World,
    run: RunFolder,
) -> Iterator[Statement]:
    index, _ = subjects(variant, plan, built, world)
    made = provenance_of(variant, plan, built, world)
    yield signature(index)
    yield Statement(subject=index, predicate_type=PredicateType.PROVENANCE, predicate=made)
    for cell in plan.cells_of(variant):
        subject = Subject(repository=index.repository, digest=built.platforms[str(cell.platform)].digest)
        yield signature(subject)
        yield Statement(subject=subject, predicate_type=PredicateType.PROVENANCE, predicate=made)
        for kind, path, station in (
            (PredicateType.SPDX, lists[cell].spdx, "sbom"),
            (PredicateType.CYCLONEDX, lists[cell].cyclonedx, "sbom"),
            (PredicateType.VULNERABILITIES, scans[cell].predicate, "scan"),
        ):
            predicate = run.part(path, f"sealift {station}")
            yield Statement(subject=subject, predicate_type=kind, predicate=predicate)
