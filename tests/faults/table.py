"""The results as tables of Markdown: one square of exit codes, and a row for every cell."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.judging import Result
from tests.faults.machine import Row
from tests.faults.matrix import Case

BEGIN = "<!-- the matrix: nox -s faults -- --write -->"
END = "<!-- the end of the matrix -->"


def markdown(cases: Sequence[Case], results: Sequence[Result], machine: Sequence[Row]) -> str:
    """Write everything: when and where, the square, the rows, and what is about this machine."""
    by_case = {result.case.name: result for result in results}
    held = sum(result.verdict == "held" for result in results)
    here = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    counted = f"{len(results)} cells, {held} held"
    head = f"{datetime.now(UTC).date()}, {here}; {counted}."
    tables = (_square(cases, by_case), _machine(machine), _rows(cases, by_case))
    return "\n\n".join([head, *("\n".join(rows) for rows in tables)])


def write(path: Path, text: str, *, begin: str = BEGIN, end: str = END) -> None:
    """Put the tables between their marks in a file."""
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _machine(rows: Sequence[Row]) -> list[str]:
    return [
        "| this machine | expected | got | verdict |",
        "|---|---|---|---|",
        *map(str, rows),
    ]


def _square(cases: Sequence[Case], by_case: dict[str, Result]) -> list[str]:
    """Each cell: the exit code with the fault on every request, and the one without it."""
    shown = [case for case in cases if case.hits == "every request"]
    faults = list(dict.fromkeys(str(case.fault) for case in shown))
    rows = list(dict.fromkeys((case.outside.name, case.station) for case in shown))
    cells = {(c.outside.name, c.station, str(c.fault)): _codes(c, by_case) for c in shown}
    return [
        f"| fault | {' | '.join(f'{name}: {station}' for name, station in rows)} |",
        f"|---|{'---|' * len(rows)}",
        *(f"| {fault} | {' | '.join(cells.get((*row, fault), '-') for row in rows)} |" for fault in faults),
    ]


def _codes(case: Case, by_case: dict[str, Result]) -> str:
    result = by_case.get(case.name)
    if result is None:
        return "not run"
    return f"{result.code}, {result.after}" if result.met else "not met"


def _rows(cases: Sequence[Case], by_case: dict[str, Result]) -> list[str]:
    return [
        "| service | station | fault | hits | met | exit | said | exit afterwards | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(case, by_case.get(case.name)) for case in cases if case.name in by_case),
    ]


def _row(case: Case, result: Result | None) -> str:
    about = (case.outside.name, case.station, str(case.fault), case.hits)
    if result is None:
        return f"| {' | '.join(about)} | | | | | not run |"
    told = (result.met, result.code, result.said.replace("|", "\\|"), result.after, result.verdict)
    return f"| {' | '.join(map(str, (*about, *told)))} |"
