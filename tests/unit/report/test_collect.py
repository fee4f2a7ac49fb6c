"""What a run leaves in its folder, gathered into one report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sealift.model.evidence import Proven
from sealift.model.run import RunFolder
from sealift.report.collect import collect
from tests.unit.stations.things import digest_of, plan, world

FOLDER = "example.com/lib is the folder ../lib"


def proven(*limitations: str) -> Proven:
    return Proven(
        sha256=digest_of("binary"),
        linkage="static",
        interpreter=None,
        libraries=(),
        go_version="go1.26.8",
        modules=("example.com/lib@v0.0.0",),
        main_module="example.com/svc",
        revision="c" * 40,
        modified=False,
        folders={"../lib": "example.com/lib@v0.0.0"},
        limitations=limitations,
    )


def test_what_no_scanner_sees_is_a_limitation_of_the_report(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_plan(plan())
    for cell, limitations in (("static/linux/amd64", [FOLDER]), ("base/linux/amd64", [FOLDER, "vendor/"])):
        run.write("prove", cell, proven(*limitations))
    here = replace(world(tmp_path), cannot_show=("an outage",))
    report = collect(run, here, outcome="rehearsed", exceptions=(), programs=(), seconds=1)
    assert report.cannot_show[0] == "an outage"
    assert sorted(report.cannot_show[1:]) == [FOLDER, "vendor/"]
