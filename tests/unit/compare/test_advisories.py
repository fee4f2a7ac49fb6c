"""Which advisories a comparison's findings are looked for in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sealift.compare.measure import Bench, with_advisories
from sealift.compare.values import Advisories
from sealift.errors import OutsideError
from sealift.model.names import Platform
from sealift.rehearsal import advisories
from sealift.tools import trivy
from sealift.tools.engine import Engine

ROOT = Path(__file__).parents[3]
FACTS = advisories.load(ROOT / "ci" / "advisories.yaml")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(
        folder=tmp_path,
        platform=Platform("linux/amd64"),
        engine=Engine(name="podman", command=("podman",), locks=tmp_path),
        database=tmp_path / "stand-in",
        starts=1,
    )


def test_trivys_own_are_taken_where_they_can_be_had(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(folder: Path) -> None:
        advisories.write_trivy_database(FACTS, folder, datetime.now(UTC))

    monkeypatch.setattr(trivy, "download_database", download)
    own, known = with_advisories(ROOT, bench, bench.folder / "cache")
    assert trivy.database(own.database).version == advisories.SCHEMA
    assert known == Advisories(source="Trivy's database", date=str(FACTS.checked))
    assert not bench.database.exists()


def test_elsewhere_the_stand_in_is_named_and_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_answers(folder: Path) -> None:
        raise OutsideError(f"nothing comes into {folder}")

    monkeypatch.setattr(trivy, "download_database", nobody_answers)
    stand_in, known = with_advisories(ROOT, bench, bench.folder / "cache")
    assert trivy.database(stand_in.database).version == advisories.SCHEMA
    count = len(FACTS.go) + len(FACTS.debian)
    assert known == Advisories(source="ci/advisories.yaml", date=str(FACTS.checked), stand_in=count)
