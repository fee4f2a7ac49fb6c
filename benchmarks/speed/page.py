"""docs/performance.md: the table and the lists between its markers are written here, the rest by people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from benchmarks.speed.catalog import ROWS, Unit
from benchmarks.speed.values import Figure, Machine, Measured, Part
from sealift.errors import UsageError
from sealift.model.codec import publish

HEAD = "| figure | what is measured | asked for | median | least to greatest | made of | measured |"
_ROW = re.compile(r"\| `([a-z0-9-]+)` \|")
_FORMS: Mapping[Unit, str] = {"ratio": "{:.2f}", "s": "{:.2f} s", "MB": "{:.0f} MB", "%": "{:.1f} %"}


def update(path: Path, measured: Measured) -> None:
    """Put what was measured into the page; rows of this machine that were not measured now stay."""
    text = path.read_text("utf-8")
    kept = _kept(_between(text, "table"), measured.machine)
    rows = kept | {f.name: row_of(f, measured) for f in measured.figures}
    text = _put(text, "table", table(rows, measured))
    for name, parts in measured.lists.items():
        text = _put(text, name, listed(parts))
    publish(path, text.encode())


def table(rows: Mapping[str, str], measured: Measured) -> str:
    """Write the machine's description and every row, those that were not measured too."""
    versions = ", ".join(f"{name} {version}" for name, version in measured.versions.items())
    lines = [_machine_line(measured.machine), f"Last run with {versions}.", ""]
    lines += [HEAD, "|" + "---|" * HEAD.strip("|").count("|") + "---|"]
    return "\n".join([*lines, *(rows.get(name) or _missing(name) for name in ROWS)])


def row_of(figure: Figure, measured: Measured) -> str:
    """Write one row: the median, and the spread beside it."""
    row, say = figure.row, _FORMS[figure.row.unit].format
    mark = {None: "", True: " (met)", False: " (**missed**)"}[figure.met]
    spread = f"{say(min(figure.samples))} to {say(max(figure.samples))}" if len(figure.samples) > 1 else "-"
    when = f"{measured.date}, {len(figure.samples)} x, load {measured.load_average:g}, {measured.commit}"
    median = f"**{say(figure.median)}**{mark}"
    cells = (f"`{figure.name}`", row.what, _asked(figure.name), median, spread, figure.made_of, when)
    return f"| {' | '.join(cells)} |"


def listed(parts: Iterable[Part]) -> str:
    """Write a list of names and seconds."""
    return "\n".join(f"- `{p.name}`: {p.seconds:.2f} s{f' ({p.note})' if p.note else ''}" for p in parts)


def _missing(name: str) -> str:
    return f"| `{name}` | {ROWS[name].what} | {_asked(name)} | not measured here | | | |"


def _asked(name: str) -> str:
    row = ROWS[name]
    return "-" if row.limit is None else f"{_FORMS[row.unit].format(row.limit)} or less"


def _machine_line(machine: Machine) -> str:
    return f"Machine: {machine}."


def _kept(block: str, machine: Machine) -> dict[str, str]:
    """Return the rows that are there, by name; another machine's are not comparable."""
    if _machine_line(machine) not in block.splitlines():
        return {}
    return {found[1]: line for line in block.splitlines() if (found := _ROW.match(line))}


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- bench {name}: begin -->", f"<!-- bench {name}: end -->"


def _between(text: str, name: str) -> str:
    begin, end = _markers(name)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise UsageError(f"the page has no markers for {name}", next_step=f"put {begin} and {end} into it")
    return text.partition(begin)[2].partition(end)[0]


def _put(text: str, name: str, block: str) -> str:
    begin, end = _markers(name)
    _between(text, name)
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{block}\n{end}{rest.partition(end)[2]}"
