"""What is generated for many services, and what the first run's words are read as."""

from __future__ import annotations

import pytest
import yaml
from benchmarks.speed import first, many

from sealift.model.codec import from_json, to_json
from sealift.model.config import Config
from tests.conftest import ROOT


@pytest.mark.parametrize("services", many.COUNTS)
def test_each_service_has_both_variants_and_repositories_of_its_own(services: int) -> None:
    config = yaml.safe_load((ROOT / "ci" / "release.yaml").read_text())
    made = from_json(to_json(many.generate(config, services)), Config, source="generated")
    assert len(made.variants) == 2 * services
    assert len({v.repository for v in made.variants.values()}) == 2 * services
    assert {v.linkage for v in made.variants.values()} == {"static", "dynamic"}


def test_one_service_is_the_configuration_itself() -> None:
    config = yaml.safe_load((ROOT / "ci" / "release.yaml").read_text())
    assert many.generate(config, 1) == config


def test_the_first_runs_programs_are_listed_longest_first_and_then_the_rest() -> None:
    lines = [
        first.Line(at=0.5, text="[1/2] building cosign v3.1.2 (may take 180 s)\n"),
        first.Line(at=101.0, text="built cosign in 100 s\n"),
        first.Line(at=502.0, text="built trivy in 400 s\n"),
        first.Line(at=510.0, text="  plan ok\n"),
    ]
    parts = first.parts_of(lines, seconds=520.0)
    assert [(p.name, p.seconds) for p in parts] == [("trivy", 400), ("cosign", 100), ("all else", 18)]
