"""Scan: what is known against the packages and modules of each platform, by two scanners."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sealift.model.evidence import Built, Scanned
from sealift.model.exceptions import Exception_
from sealift.model.modules import GoModule
from sealift.model.names import RunPath
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.model.world import World
from sealift.stations.findings import judge
from sealift.stations.gate import Looks
from sealift.tools import govulncheck, trivy
from sealift.tools.gobinary import read_build_info


def scan(
    cell: Cell, plan: Plan, built: Built, exceptions: Collection[Exception_], *, world: World, run: RunFolder
) -> Scanned:
    """Scan one cell's image and binary and judge what is found."""
    digest = built.platforms[str(cell.platform)].digest
    looks = Looks("scan", str(cell))
    now = datetime.now(UTC)
    database = trivy.database(world.advisories)
    _look_age(looks, database.updated_at, now, world.advisory_max_age_days)
    name, version = run.binary(cell, plan.config.service), f"v{plan.version}"
    binary = run.file(name, "sealift compile")
    looks.equal(
        "binary that was scanned",
        expected=built.platforms[str(cell.platform)].binary_sha256,
        got=run.digest(name, "sealift compile").hex,
    )
    info = read_build_info(binary)
    main = GoModule.of(info.main_module.path, version)
    report = trivy.scan(
        f"{world.layouts}/{cell.variant}@{digest}",
        cell.platform,
        cache_dir=world.advisories,
        modules={main.path: main, **{m.folder: m.name for m in info.modules if m.folder}},
    )
    looks.equal("platform that was scanned", expected=cell.platform, got=report.platform)
    looks.equal("digest that was scanned", expected=digest, got=report.digest)
    for kind, words in (("os-pkgs", "Debian packages"), ("lang-pkgs", "Go modules")):
        seen = sum(t.packages for t in report.targets if t.kind == kind)
        looks.true(seen > 0, f"Trivy looked at {seen} {words}", f"Trivy saw no {words}: it did not look")
    reached = govulncheck.scan(binary, world.go_advisories, main_version=version)
    verdict = judge(
        report.findings,
        reached,
        exceptions,
        today=now.date(),
        severities=plan.config.gates.severities,
        require_fix=plan.config.gates.require_fix,
    )
    for judged in verdict.refused:
        looks.refused(str(judged))
    for judged in verdict.excused:
        looks.excused(str(judged))
    looks.passed(f"{len(verdict.noted)} findings noted that do not block")
    for judged in verdict.noted:
        if judged.issue.disagreement:
            looks.passed(str(judged))
    # Where it was read is of no use to anybody else; where it ships is.
    shipped = world.repository(plan.variant(cell.variant).repository)
    named = report.raw.replace(f"{world.layouts}/{cell.variant}".encode(), shipped.encode())
    raw, predicate = RunPath(f"scan/{cell.slug}.json"), RunPath(f"scan/{cell.slug}.vuln.json")
    attested = trivy.vuln_predicate(named, database, cache_dir=world.advisories)
    files = run.publish(raw, named), run.publish(predicate, attested)
    gates = looks.done(
        means="a weakness with a known fix would ship",
        next_step="take the fix, or excuse it in ci/exceptions.yaml with owner, reason and end date",
        allow_not_checked=plan.config.gates.not_checked == "allow",
    )
    return Scanned(
        gates=gates,
        files=files,
        digest=digest,
        platform=report.platform,
        report=raw,
        predicate=predicate,
        database_updated=database.updated_at.isoformat(),
    )


def _look_age(looks: Looks, updated: datetime, now: datetime, limit_days: int | None) -> None:
    age = now - updated
    if limit_days is None:
        looks.passed(f"advisories of {updated:%Y-%m-%d}; this world sets no greatest age")
    else:
        words = f"advisories of {updated:%Y-%m-%d}, {age.days} days old; {limit_days} allowed"
        looks.true(age <= timedelta(days=limit_days), words, words)
