"""Play the matrix: ``python -m tests.faults [--write] [--only WORDS]...``.

Status 1 says that a cell did not hold, or was not met.
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
from tests.faults import machine, table
from tests.faults.judging import Result, judge
from tests.faults.matrix import Case, cases, sample
from tests.faults.stand import standing

PAGE = Path("docs/reliability.md")


def main(argv: Sequence[str]) -> int:
    """Play what was asked for, and print the tables."""
    asked = _arguments(argv)
    everything = cases()
    chosen = [c for c in everything if c.applicable and all(word in c.name for word in asked.only)]
    if asked.sample:
        chosen = list(sample(chosen, asked.sample, asked.seed))
    provide_all(all_names(), cache=cache_folder(), debian_programs=["faketime"], emulate=False)
    with tempfile.TemporaryDirectory(prefix="sealift-faults-") as folder, standing(Path(folder)) as stand:
        results = [_told(judge(case, stand), n, len(chosen)) for n, case in enumerate(chosen, 1)]
        rows = list(machine.rows(Path(folder), stand)) if not asked.only or asked.machine else []
    text = table.markdown(everything, results, rows)
    console.result(text)
    if asked.write:
        table.write(asked.write, text)
    return int(any(result.verdict != "held" for result in results) or not all(row.held for row in rows))


def _told(result: Result, number: int, count: int) -> Result:
    case: Case = result.case
    console.say(f"{number}/{count} {case.name}: {result.code}, {result.after}: {result.verdict}")
    return result


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s faults --", description=__doc__)
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE, help=f"put the tables into {PAGE}")
    parser.add_argument("--only", action="append", default=[], help="cells whose name has these words")
    parser.add_argument("--machine", action="store_true", help="the disk and the clock, also with --only")
    parser.add_argument("--sample", type=int, default=0, help="only so many, each row at least once")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
