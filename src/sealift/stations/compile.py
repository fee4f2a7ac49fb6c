"""Compile: one binary for each cell, reproducibly, from a clean clone of the commit."""

from __future__ import annotations

from pathlib import Path

from sealift.model.evidence import Compiled
from sealift.model.names import Digest
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.tools import go as compiler


def compile_cell(cell: Cell, plan: Plan, *, source: Path, go: Path, cache: Path, run: RunFolder) -> Compiled:
    """Build the binary of one cell from ``source``, a clean clone; publish it by rename."""
    variant, config = plan.variant(cell.variant), plan.config
    name = run.binary(cell, config.service)
    unfinished = run.work / f"{cell.slug}.unfinished"
    request = compiler.GoBuildRequest(
        module=source / config.go.module,
        package=config.go.package,
        variable=config.go.version_variable,
        version=str(plan.version),
        platform=cell.platform,
        linkage=variant.linkage,
        glibc=variant.glibc,
        output=unfinished,
        cache=cache,
        source=source,
    )
    command = compiler.build(go, request)
    unfinished.chmod(0o755)
    return Compiled(
        path=name,
        sha256=Digest.of_file(run.take(unfinished, name)),
        go_version=compiler.version(go),
        command=command,
        limitations=compiler.prebuilt(go, request),
    )
