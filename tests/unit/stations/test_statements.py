"""Everything that is said about a release, and the page and the files that people find beside it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.model.evidence import Listed, Scanned
from sealift.model.names import Repository, RunPath
from sealift.model.plan import Cell
from sealift.model.run import RunFolder
from sealift.model.statements import ON_INDEX, ON_PLATFORM, PredicateType
from sealift.stations.assets import CHECKSUMS, assets, notes
from sealift.stations.provenance import provenance_problems
from sealift.stations.statements import provenance_of, statements, subjects
from sealift.stations.verify import expected
from tests.unit.stations.things import CERTIFIED, OURS, built, digest_of, plan, world

VARIANTS = ("static", "base")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Give a run folder in which every file says its own name."""
    run = RunFolder(tmp_path)
    for cell in plan().cells:
        parts = [f"sbom/{cell.slug}.spdx.json", f"sbom/{cell.slug}.cdx.json", f"scan/{cell.slug}.vuln.json"]
        for part in [*parts, run.binary(cell, "health-caretaker")]:
            path = tmp_path / part
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"name": part}), encoding="utf-8")
    return run


def lists() -> dict[Cell, Listed]:
    return {
        cell: Listed(
            digest=digest_of("x"),
            spdx=RunPath(f"sbom/{cell.slug}.spdx.json"),
            cyclonedx=RunPath(f"sbom/{cell.slug}.cdx.json"),
            go_modules=1,
            debian_packages=1,
        )
        for cell in plan().cells
    }


def scans() -> dict[Cell, Scanned]:
    return {
        cell: Scanned(
            digest=digest_of("x"),
            platform=cell.platform,
            report=RunPath(f"scan/{cell.slug}.json"),
            predicate=RunPath(f"scan/{cell.slug}.vuln.json"),
            database_updated="",
        )
        for cell in plan().cells
    }


def test_what_sign_says_is_what_verify_wants(run: RunFolder, tmp_path: Path) -> None:
    images = {v: built(v) for v in VARIANTS}
    said = statements(plan(), images, scans(), lists(), world=world(tmp_path), run=run)
    wanted = [e for v in VARIANTS for e in expected(*subjects(v, plan(), images[v], world(tmp_path)))]
    assert len(said) == 2 * (len(ON_INDEX) + 2 * len(ON_PLATFORM)) == 24
    assert {(s.subject, s.predicate_type) for s in said} == {(w.subject, w.predicate_type) for w in wanted}


def test_each_list_is_about_its_own_platform(run: RunFolder, tmp_path: Path) -> None:
    images = {v: built(v) for v in VARIANTS}
    said = statements(plan(), images, scans(), lists(), world=world(tmp_path), run=run)
    for cell in plan().cells:
        digest = images[cell.variant].platforms[str(cell.platform)].digest
        named = {
            s.predicate_type: s.predicate["name"]
            for s in said
            if s.subject.digest == digest and "name" in s.predicate
        }
        assert named == {
            PredicateType.SPDX: f"sbom/{cell.slug}.spdx.json",
            PredicateType.CYCLONEDX: f"sbom/{cell.slug}.cdx.json",
            PredicateType.VULNERABILITIES: f"scan/{cell.slug}.vuln.json",
        }


@pytest.mark.parametrize(
    ("part", "command"),
    [("sbom/{}.spdx.json", "sbom"), ("sbom/{}.cdx.json", "sbom"), ("scan/{}.vuln.json", "scan")],
)
@pytest.mark.parametrize("left", [None, b'{"name": '], ids=["gone", "cut off"])
def test_a_file_that_is_not_whole_is_named(
    run: RunFolder, tmp_path: Path, part: str, command: str, left: bytes | None
) -> None:
    file = run.root / part.format(plan().cells[0].slug)
    file.unlink()
    if left is not None:
        file.write_bytes(left)
    images = {v: built(v) for v in VARIANTS}
    with pytest.raises(UsageError, match=re.escape(str(file))) as caught:
        statements(plan(), images, scans(), lists(), world=world(tmp_path), run=run)
    assert caught.value.next_step == f"sealift {command}"


def test_each_variant_has_a_repository_of_its_own(tmp_path: Path) -> None:
    for variant, name in (("static", "health-caretaker"), ("base", "health-caretaker-base")):
        index, platforms = subjects(variant, plan(), built(variant), world(tmp_path))
        assert {s.repository for s in (index, *platforms)} == {Repository(f"registry.example/{name}")}
        assert index.digest == built(variant).digest
        assert len({s.digest for s in (index, *platforms)}) == 3


def test_a_provenance_says_what_the_release_was_made_of(tmp_path: Path) -> None:
    said = provenance_of("static", plan(), built("static"), world(tmp_path))
    assert list(provenance_problems(said, builder=OURS.san, certified=CERTIFIED)) == []
    text = json.dumps(said)
    for word in ("refs/tags/v1.2.3", "linux/arm64", digest_of("base").hex, digest_of("buildkitd").hex):
        assert word in text


def test_every_file_of_the_release_has_its_sum(run: RunFolder) -> None:
    found = assets(plan(), lists(), run)
    cell = "health-caretaker-1.2.3-static-linux-amd64"
    assert {cell, f"{cell}.spdx.json", f"{cell}.cdx.json", CHECKSUMS} <= set(found)
    assert len(found) == 3 * 4 + 1
    lines = found[CHECKSUMS].read_text(encoding="utf-8").splitlines()
    assert lines == sorted(lines, key=lambda line: line.split("  ")[1])
    sums = {name: value for value, _, name in (line.partition("  ") for line in lines)}
    assert sums == {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in found.items()
        if name != CHECKSUMS
    }


def test_the_page_says_how_a_stranger_verifies(tmp_path: Path) -> None:
    text = notes(plan(), {v: built(v) for v in VARIANTS}, world(tmp_path))
    assert f"| `registry.example/health-caretaker:1.2.3` | `{built('static').digest}` |" in text
    assert f"cosign verify registry.example/health-caretaker-base@{built('base').digest} \\" in text
    assert text.count(f"--certificate-identity {OURS.san}") == 2
    assert text.count(f"--certificate-oidc-issuer {OURS.issuer}") == 2
    assert text == notes(plan(), {v: built(v) for v in VARIANTS}, world(tmp_path))
