"""Play the matrix: ``python -m tests.faults [--write] [--only WORDS]...``.

Status 1 says that a cell did not hold, or was not met. Two runs side by side, and one table of both::

    python -m tests.faults --part 1/2 --keep a & python -m tests.faults --part 2/2 --keep b & wait
    python -m tests.faults --take a --take b --write
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sealift import console
from sealift.provision.cache import cache_folder
from sealift.provision.everything import provide_all
from sealift.provision.recipe import all_names
from tests.faults import kept, machine, table
from tests.faults.judging import Result, judge
from tests.faults.matrix import Case, cases, sample
from tests.faults.outside import OTHER, USUAL
from tests.faults.stand import standing

PAGE = Path("docs/reliability.md")


def main(argv: Sequence[str]) -> int:
    """Play what was asked for, and print the tables."""
    asked = _arguments(argv)
    everything = cases()
    results, rows = kept.taken(asked.take, everything) if asked.take else _played(asked, everything)
    text = table.markdown(everything, results, rows)
    console.result(text)
    if asked.write:
        table.write(asked.write, text)
    return int(any(result.verdict != "held" for result in results) or not all(row.held for row in rows))


def _played(asked: argparse.Namespace, everything: Sequence[Case]) -> tuple[list[Result], list[machine.Row]]:
    chosen = _chosen(asked, everything)
    results: list[Result] = []
    rows: list[machine.Row] = []
    provide_all(all_names(), cache=cache_folder(), debian_programs=["runc", "podman"], emulate=True)
    for world in (USUAL, OTHER):
        here = [case for case in chosen if case.outside.world == world]
        if not here:
            continue
        with (
            tempfile.TemporaryDirectory(prefix="sealift-faults-") as name,
            standing(Path(name), world) as stand,
        ):
            for case in here:
                results.append(judge(case, stand))
                console.say(f"{len(results)}/{len(chosen)} {_told(results[-1])}")
                _keep(asked, results[-1])
            for row in machine.rows(Path(name), stand) if asked.machine and world == USUAL else ():
                rows.append(row)
                console.say(str(row))
                _keep(asked, row)
    return results, rows


def _told(result: Result) -> str:
    name, codes = result.case.name, f"{result.code}, {result.after}"
    return f"{name}: {codes}: {result.verdict} ({result.seconds:.1f} s)"


def _keep(asked: argparse.Namespace, what: Result | machine.Row) -> None:
    if asked.keep:
        kept.keep(asked.keep, what)


def _chosen(asked: argparse.Namespace, everything: Sequence[Case]) -> Sequence[Case]:
    part, _, parts = asked.part.partition("/")
    chosen = [c for c in everything if all(word in c.name for word in asked.only)]
    chosen = chosen[int(part) - 1 :: int(parts)]
    return sample(chosen, asked.sample, asked.seed) if asked.sample else chosen


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s faults --", description=__doc__)
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE, help=f"put the tables into {PAGE}")
    parser.add_argument("--only", action="append", default=[], help="cells whose name has these words")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="each Nth cell, from the Kth")
    parser.add_argument("--sample", type=int, default=0, help="only so many, each row at least once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="add each result to this file as it comes")
    parser.add_argument("--take", type=Path, action="append", help="play nothing: take what was kept")
    asked = parser.parse_args(argv)
    # About this machine, not about a cell: once, and not with a selection.
    asked.machine = not asked.only and not asked.sample and asked.part.startswith("1/")
    return asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
