"""Kill releases: ``python -m tests.kills [--count 40] [--seed 1] [--number N]... [--write]``.

Status 1 says that something did not hold, or that a moment was never met.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from sealift import console
from sealift.provision.cache import cache_folder
from sealift.provision.everything import provide_all
from sealift.provision.recipe import all_names
from tests.faults.table import write
from tests.kills import table
from tests.kills.killing import Result, play, reference
from tests.kills.left import own_desk
from tests.kills.moments import every_moment

PAGE = Path("docs/reliability.md")


def main(argv: Sequence[str]) -> int:
    """Play what was asked for, and print the table."""
    asked = _arguments(argv)
    # Who starts us in the background has SIGINT ignored, and so would the releases.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    drawn = every_moment(asked.count, asked.seed)
    chosen = [m for m in drawn if not asked.number or m.number in asked.number]
    provide_all(all_names(), cache=cache_folder(), debian_programs=["runc", "podman"], emulate=True)
    with own_desk() as desk:
        whole = reference(desk)
        results = [_told(play(moment, desk, whole)) for moment in chosen]
    text = table.markdown(results, asked.seed)
    console.result(text)
    if asked.write:
        write(asked.write, text, begin=table.BEGIN, end=table.END)
    return int(any(result.wrong or not result.met for result in results))


def _told(result: Result) -> Result:
    moment = result.moment
    console.say(
        f"{moment.number}: {moment.world}, {moment.name}, {moment.when}: "
        f"{'' if result.met else 'not met: '}{result.ended}, {result.stood}, {result.again}"
    )
    for line in result.wrong:
        console.say(f"  did not hold: {line}")
    return result


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nox -s kills --", description=__doc__)
    parser.add_argument("--count", type=int, default=40, help="so many are spread over the timeline")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--number", type=int, action="append", default=[], help="play this moment alone")
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE, help=f"put the table into {PAGE}")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
