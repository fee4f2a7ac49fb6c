"""One run over every kind: prepare, count, scan, start in turn, judge."""

from __future__ import annotations

import os
import platform as machine_of
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sealift.compare import claims
from sealift.compare.contents import contents
from sealift.compare.kinds import FETCHED, TITLES, Kind, fetched, full_system, on_top, ours, service_of
from sealift.compare.running import run_in_turn
from sealift.compare.values import Advisories, Comparison, Machine, Measured, NotMeasured
from sealift.console import say
from sealift.errors import OutsideError, RefusedError, UsageError
from sealift.model.names import Platform
from sealift.model.plan import Plan
from sealift.rehearsal import advisories
from sealift.services.ports import free_ports
from sealift.services.registry import layouts_registry
from sealift.services.supervised import Supervised
from sealift.tools import trivy
from sealift.tools.engine import Engine
from sealift.tools.registry import Registry

FETCH_SECONDS = 60
LOOKS = 5
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a comparison works with: where, with which engine, and how often each kind is started.

    ``database`` is where Trivy's advisories are, or where a stand-in is written.
    """

    folder: Path
    platform: Platform
    engine: Engine
    database: Path
    starts: int
    looks: int = LOOKS


def compare(root: Path, plan: Plan, images: Path, bench: Bench, *, cache: Path) -> Comparison:
    """Measure the line's images beside the same service on fuller systems."""
    shutil.rmtree(bench.folder, ignore_errors=True)
    bench, known = with_advisories(root, bench, cache)
    kinds, absent = prepare(plan, images, bench, cache)
    measured = measure(kinds, bench)
    return Comparison(
        date=datetime.now(UTC).date().isoformat(),
        version=str(plan.version),
        commit=plan.commit,
        platform=bench.platform,
        machine=this_machine(bench.engine),
        advisories=known,
        kinds=(*measured.values(), *absent),
        verdicts=claims.judge(measured),
    )


def with_advisories(root: Path, bench: Bench, cache: Path) -> tuple[Bench, Advisories]:
    """Have Trivy's own database; where it cannot be reached, this repository's advisories stand in."""
    own = cache / "advisories" / "trivy"
    try:
        trivy.download_database(own)
    except OutsideError:
        say("Trivy's own database cannot be reached; findings count as not measured")
        facts = advisories.load(root / "ci" / "advisories.yaml")
        advisories.write_trivy_database(facts, bench.database, datetime.now(UTC))
        known = len(facts.go) + len(facts.debian)
        return bench, Advisories(source="ci/advisories.yaml", date=str(facts.checked), stand_in=known)
    updated = trivy.database(own).updated_at.date().isoformat()
    return replace(bench, database=own), Advisories(source="Trivy's database", date=updated)


def prepare(
    plan: Plan, images: Path, bench: Bench, cache: Path
) -> tuple[tuple[Kind, ...], tuple[NotMeasured, ...]]:
    """Have every kind as a layout, as far as it can be had here."""
    folder, platform = bench.folder, bench.platform
    _need(images, plan, platform)
    own = ours(images, platform, plan.config.suite, cache, folder)
    services = {kind.name: service_of(kind) for kind in own}
    debian = full_system(plan.config.suite, platform, folder)
    kinds, absent = [*own, on_top("debian", debian, services["base"], platform, folder)], []
    for name, (reference, service) in FETCHED.items():
        try:
            base = fetched(reference, platform, folder / "fetched" / name, Registry(timeout=FETCH_SECONDS))
        except (OutsideError, RefusedError, UsageError) as error:
            say(f"{TITLES[name]} is not measured: {error.happened}")
            why = f"{reference} could not be fetched"
            absent.append(NotMeasured(kind=name, title=TITLES[name], why=why))
        else:
            kinds.append(on_top(name, base, services[service], platform, folder))
    return tuple(kinds), tuple(absent)


def measure(kinds: Sequence[Kind], bench: Bench) -> dict[str, Measured]:
    """Count, scan and run kinds that are there."""
    counted = {kind.name: contents(kind.base, kind.image) for kind in kinds}
    with _served(kinds, bench) as (references, guard):
        found = {
            name: Counter(
                finding.severity
                for finding in trivy.scan(reference, bench.platform, cache_dir=bench.database).findings
            )
            for name, reference in references.items()
        }
        ran = run_in_turn(
            bench.engine, references, bench.platform, guard=guard, starts=bench.starts, looks=bench.looks
        )
    return {
        kind.name: Measured(
            kind=kind.name,
            title=kind.title,
            digest=kind.image[1],
            contents=counted[kind.name],
            findings={str(severity): count for severity, count in found[kind.name].items()},
            running=ran[kind.name],
        )
        for kind in kinds
    }


@contextmanager
def _served(kinds: Sequence[Kind], bench: Bench) -> Iterator[tuple[Mapping[str, str], Supervised]]:
    """Serve the images to Trivy and the engine, and take them out of the engine afterwards."""
    logs = bench.folder / "logs"
    with ExitStack() as stack:
        held = stack.enter_context(free_ports(1))
        services = stack.enter_context(Supervised(log=logs / "supervisor.log"))
        (port,) = held.release()
        services.start([layouts_registry(bench.folder / "images", port, log=logs / "registry.log")])
        images = {kind.name: f"localhost:{port}/{kind.name}@{kind.image[1]}" for kind in kinds}
        for image in images.values():
            stack.enter_context(services.owing(image, bench.engine.image_removal(image)))
            bench.engine.pull(image, bench.platform)
        yield images, services


def _need(images: Path, plan: Plan, platform: Platform) -> None:
    missing = [name for name in ("static", "base") if not (images / name / "index.json").is_file()]
    if missing or platform not in plan.config.platforms:
        what = f"there is no image of {', '.join(missing)}" if missing else f"nothing is built for {platform}"
        raise UsageError(what, means="the comparison measures what the line built", next_step="sealift image")


def this_platform() -> Platform:
    """Name what this machine runs without emulation."""
    machine = machine_of.machine()
    return Platform(f"linux/{ARCHITECTURES.get(machine, machine)}")


def this_machine(engine: Engine) -> Machine:
    """Describe where it was measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return Machine(
        processor=next(named, machine_of.machine()),
        cores=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=machine_of.release(),
        engine=engine.call("--version").stdout.strip(),
        load=round(os.getloadavg()[1], 1),
    )


def with_claims_judged(comparison: Comparison) -> Comparison:
    """Judge a comparison that was read from a file by today's claims."""
    return msgspec.structs.replace(comparison, verdicts=claims.judge(comparison.measured))
