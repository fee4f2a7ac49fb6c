"""Prove: what can be known about a binary from its bytes, before it is put into an image."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path

from sealift.elf.closure import Closure, resolve
from sealift.elf.facts import ElfFacts, read_elf
from sealift.elf.program import in_system, odd_folders, odd_program
from sealift.elf.rootfs import Rootfs
from sealift.errors import UsageError
from sealift.model.evidence import Compiled, Proven
from sealift.model.names import Digest
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.places import shell_word
from sealift.stations.gate import GateRefusedError, Looks
from sealift.tools.gobinary import LEVELS, BuildInfo, import_path, read_build_info


def prove(
    cell: Cell, plan: Plan, compiled: Compiled, base: Rootfs, run: RunFolder, *, source: Path
) -> Proven:
    """Prove that the binary of one cell is what was planned and can start on its base image."""
    path = run.file(run.binary(cell, plan.config.service), "sealift compile")
    looks = Looks("prove", str(cell))
    facts, info = _read(looks, path, compiled)
    looks.equal("machine", expected=cell.platform.arch, got=facts.arch)
    libraries: tuple[str, ...] = ()
    if plan.variant(cell.variant).linkage == "static":
        _look_static(looks, facts)
    else:
        closure = resolve(facts, base, program=f"/{plan.config.service}")
        _look_dynamic(looks, facts, closure, base.origin)
        libraries = tuple(sorted(found.path for found in closure.found))
    _look_program(looks, facts, path, {name: read_elf(base.read(name)) for name in libraries})
    _look_build(looks, info, cell, plan, source)
    gates = looks.done(
        means="this binary would not start on its base, or is not what was planned",
        next_step=f"sealift explain {shell_word(path)}",
    )
    return Proven(
        gates=gates,
        sha256=compiled.sha256,
        linkage=facts.linkage,
        interpreter=facts.interpreter,
        libraries=libraries,
        go_version=info.go_version,
        modules=tuple(str(m.name) for m in info.modules),
        main_module=info.main_module.path,
        revision=info.vcs_revision or "",
        modified=bool(info.vcs_modified),
        folders={m.folder: str(m.name) for m in info.modules if m.folder},
        limitations=info.limitations,
    )


def _read(looks: Looks, path: Path, compiled: Compiled) -> tuple[ElfFacts, BuildInfo]:
    """Read what was compiled; of other bytes nothing that they say would count."""
    found = Digest.of_file(path)
    looks.equal("bytes on disk", expected=compiled.sha256, got=found)
    if found != compiled.sha256:
        raise _refused(looks, means="this is not the binary that was compiled")
    try:
        return read_elf(path), read_build_info(path)
    except UsageError as err:
        looks.refused(err.happened)
        raise _refused(looks, means=err.means) from err


def _refused(looks: Looks, means: str) -> GateRefusedError:
    return GateRefusedError(tuple(looks.gates), means=means, next_step="sealift compile")


def _look_static(looks: Looks, facts: ElfFacts) -> None:
    looks.equal("interpreter", expected=None, got=facts.interpreter)
    looks.equal("needed libraries", expected=(), got=facts.needed)


def _look_dynamic(looks: Looks, facts: ElfFacts, closure: Closure, origin: str) -> None:
    looks.equal("linkage", expected="dynamic", got=facts.linkage)
    looks.true(
        facts.interpreter is not None and closure.interpreter_found,
        f"interpreter {facts.interpreter} is in {origin}",
        f"interpreter {facts.interpreter} is not in {origin}",
    )
    looks.passed(f"libraries found: {', '.join(sorted(f.name for f in closure.found)) or 'none'}")
    for library in closure.missing:
        looks.refused(f"{library.name}, needed by {library.needed_by}, is not in {origin}")
    for symbol in closure.missing_versions:
        looks.refused(f"{symbol.library} of {origin} has no {symbol.version}, needed by {symbol.needed_by}")
    if not closure.complete:
        for skipped in closure.skipped:
            looks.refused(f"{skipped.path} of {origin} cannot be used: {skipped.why}")


def _look_program(looks: Looks, facts: ElfFacts, path: Path, libraries: Mapping[str, ElfFacts]) -> None:
    """Look whether Go linked it, and whether it loads anything from where others may write."""
    odd = [*odd_program(path, cgo=facts.linkage == "dynamic"), *odd_folders(facts)]
    for name, library in libraries.items():
        odd += [f"{name}: {words}" for words in odd_folders(library, posixpath.dirname(name))]
        if not in_system(name):
            odd.append(f"{name} lies in no folder of the system's libraries")
    for words in odd:
        looks.refused(words)
    if not odd:
        looks.passed("linked by Go, and loads nothing from where others may write")


def _look_build(looks: Looks, info: BuildInfo, cell: Cell, plan: Plan, source: Path) -> None:
    module, package = import_path(source / plan.config.go.module, plan.config.go.package)
    looks.equal("main module", expected=module, got=info.main_module.path)
    looks.equal("main package", expected=package, got=info.path)
    level, oldest = LEVELS.get(cell.platform.arch, ("", ()))
    if level:
        looks.true(
            info.settings.get(level) in oldest,
            f"{level}: {oldest[0]}",
            f"{level}: expected {oldest[0]}, got {info.settings.get(level)}",
        )
    looks.equal("built for", expected=str(cell.platform), got=f"{info.goos}/{info.goarch}")
    looks.equal("vcs.revision", expected=plan.commit, got=info.vcs_revision)
    looks.equal("vcs.modified", expected=plan.modified, got=info.vcs_modified)
    looks.equal("cgo", expected=plan.variant(cell.variant).linkage == "dynamic", got=info.cgo_enabled)
