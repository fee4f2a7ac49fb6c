"""The table of docs/performance.md: only what was measured on one machine, and plainly what was missed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from benchmarks.speed import page
from benchmarks.speed.catalog import LISTS, ROWS
from benchmarks.speed.values import Figure, Machine, Measured, Part, ratio

from sealift.errors import UsageError
from tests.conftest import ROOT

HERE = Machine(cpu="a CPU", cores=2, memory_gib=23.0, system="Debian")
MEASURED = Measured(
    date="2026-11-25",
    machine=HERE,
    commit="0123456789ab",
    versions={"Go": "1.26.8"},
    load_average=0.5,
    figures=(),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    empty = tmp_path / "performance.md"
    marks = [f"<!-- bench {n}: begin -->\nold\n<!-- bench {n}: end -->" for n in ("table", *LISTS)]
    empty.write_text("Above.\n" + "\nBetween.\n".join(marks) + "\nBelow.\n")
    return empty


def test_a_row_shows_median_and_spread_and_whether_the_limit_was_met(path: Path) -> None:
    good, bad = ratio("script", [1.0, 2.0, 1.5], [4.0, 4.0, 4.0]), ratio("again", [3.0], [4.0])
    page.update(path, msgspec.structs.replace(MEASURED, figures=(good, bad)))
    text = path.read_text()
    assert "| 0.50 or less | **0.38** (met) | 0.25 to 0.50 | 1.50 s ÷ 4.00 s |" in text
    assert "| 0.20 or less | **0.75** (**missed**) | - |" in text
    assert "2026-11-25, 3 x, load 0.5, 0123456789ab |" in text
    assert text.count("not measured here") == len(ROWS) - 2
    assert text.startswith("Above.\n")
    assert text.endswith("\nBelow.\n")


def test_a_ratio_is_shown_as_made_of_the_seconds_of_the_round_in_the_middle() -> None:
    assert ratio("script", [1.0, 9.0, 3.0], [4.0, 10.0, 6.0]).made_of == "3.00 s ÷ 6.00 s"
    assert ratio("script", [1.0, 9.0], [4.0, 10.0]).made_of == "1.00 s ÷ 4.00 s"


def test_rows_that_were_not_measured_now_stay(path: Path) -> None:
    page.update(path, msgspec.structs.replace(MEASURED, figures=(ratio("script", [1.0], [4.0]),)))
    page.update(path, msgspec.structs.replace(MEASURED, figures=(ratio("again", [3.0], [4.0]),)))
    assert "**0.25** (met)" in path.read_text()


def test_rows_of_another_machine_do_not_stay(path: Path) -> None:
    page.update(path, msgspec.structs.replace(MEASURED, figures=(ratio("script", [1.0], [4.0]),)))
    other = msgspec.structs.replace(HERE, cores=64)
    page.update(path, msgspec.structs.replace(MEASURED, machine=other))
    assert path.read_text().count("not measured here") == len(ROWS)


def test_the_chain_is_listed_when_it_was_measured_and_stays_when_not(path: Path) -> None:
    chain = Figure(name="chain", samples=(1.0,))
    parts = (Part(name="compile:static", seconds=1.25, note="go 1.20 s"),)
    page.update(path, msgspec.structs.replace(MEASURED, figures=(chain,), lists={"chain": parts}))
    page.update(path, msgspec.structs.replace(MEASURED, figures=(Figure(name="help", samples=(0.2,)),)))
    assert "- `compile:static`: 1.25 s (go 1.20 s)" in path.read_text()


def test_a_page_without_markers_is_not_written(path: Path) -> None:
    path.write_text("nothing")
    with pytest.raises(UsageError, match="no markers for table"):
        page.update(path, MEASURED)
    assert path.read_text() == "nothing"


def test_the_page_of_this_project_has_every_marker(tmp_path: Path) -> None:
    copy = tmp_path / "performance.md"
    copy.write_bytes((ROOT / "docs" / "performance.md").read_bytes())
    figures = tuple(Figure(name=name, samples=(1.0,)) for name in ROWS)
    lists = {name: (Part(name=f"a part of {name}", seconds=1.0),) for name in LISTS}
    page.update(copy, msgspec.structs.replace(MEASURED, figures=figures, lists=lists))
    assert "not measured here" not in copy.read_text()
    assert all(f"a part of {name}" in copy.read_text() for name in LISTS)
