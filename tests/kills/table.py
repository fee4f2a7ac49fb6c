"""The results of the kills as a table of Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.kills.killing import Result

BEGIN = "<!-- the kills: nox -s kills -- --write -->"
END = "<!-- the end of the kills -->"


def markdown(results: Sequence[Result], seed: int) -> str:
    """Write when and where, how many held, and a row for every moment."""
    held = sum(result.met and not result.wrong for result in results)
    here = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"
    return "\n".join(
        [
            f"{datetime.now(UTC).date()}, {here}, seed {seed}; {len(results)} moments, {held} held.",
            "",
            "| | world | at | what | exit | what was out | exit of the next | signed by it | verdict |",
            "|---|---|---|---|---|---|---|---|---|",
            *map(_row, results),
        ]
    )


def _row(result: Result) -> str:
    moment = result.moment
    held = "held" if result.met else "not met"
    verdict = "; ".join(line.splitlines()[0] for line in result.wrong) or held
    met = (moment.number, moment.world, moment.when, moment.name)
    came = (result.ended, result.stood, result.again, result.made)
    return f"| {' | '.join(map(str, (*met, *came)))} | {verdict} |"
