"""Results in a file, one a line, as they come: several runs side by side make one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.faults.judging import Result
from tests.faults.machine import Row
from tests.faults.matrix import Case


class _Cell(msgspec.Struct, frozen=True, tag="cell"):
    name: str
    met: int
    code: int
    said: str
    after: int
    problems: tuple[str, ...]
    seconds: float


class _Machine(msgspec.Struct, frozen=True, tag="machine"):
    what: str
    expected: str
    got: str
    held: bool


def keep(file: Path, one: Result | Row) -> None:
    """Add a result."""
    with file.open("ab") as lines:
        lines.write(msgspec.json.encode(_line(one)) + b"\n")


def taken(files: Sequence[Path], cases: Sequence[Case]) -> tuple[list[Result], list[Row]]:
    """Read every result; of one cell the last."""
    by_name = {case.name: case for case in cases}
    results: dict[str, Result] = {}
    rows: dict[str, Row] = {}
    for file in files:
        for line in file.read_bytes().splitlines():
            match msgspec.json.decode(line, type=_Cell | _Machine):
                case _Cell(name=name) as cell if name in by_name:
                    told = msgspec.structs.asdict(cell)
                    del told["name"]
                    results[name] = Result(case=by_name[name], **told)
                case _Machine(what=what) as row:
                    rows[what] = Row(**msgspec.structs.asdict(row))
                case _:
                    continue
    return list(results.values()), list(rows.values())


def _line(one: Result | Row) -> _Cell | _Machine:
    if isinstance(one, Row):
        return _Machine(what=one.what, expected=one.expected, got=one.got, held=one.held)
    return _Cell(
        name=one.case.name,
        met=one.met,
        code=one.code,
        said=one.said,
        after=one.after,
        problems=one.problems,
        seconds=one.seconds,
    )
