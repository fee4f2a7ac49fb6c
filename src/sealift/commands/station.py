"""One station of the line by its name, ``sealift prove`` and its kind: on GitHub they run in several jobs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sealift import console
from sealift.commands.opening import Asked, JsonOption, asking, opened
from sealift.texts import one_line

if TYPE_CHECKING:
    from sealift.line import Line


@asking
def command(context: typer.Context, *, asked: Asked, as_json: JsonOption = False) -> None:
    """Run one station; what it needs from earlier ones is read from the run folder."""
    from sealift.commands.working import work
    from sealift.line import BUILD
    from sealift.model.codec import to_json
    from sealift.report.collect import gates

    began, station = time.monotonic(), str(context.info_name).rpartition(" ")[2]
    with opened(asked, [station]) as release:
        work(release, [station], began, alone=True)
        if station in BUILD and (output := os.environ.get("GITHUB_OUTPUT")):
            hand_on(release.line, Path(output))
        looked = [g for g in gates(release.line.run) if g.station == station]
    if as_json:
        console.result(to_json(looked).decode().rstrip())
        return
    for gate in looked:
        console.result(one_line(f"{gate.verdict:<11} {gate.subject}: {gate.detail}"))
    console.say(f"the evidence is in {release.line.run.root / 'evidence' / station}")


def hand_on(line: Line, output: Path) -> None:
    """Tell the jobs after this one, past the run folder, the hash of all evidence that the build made.

    Nothing is told before all of it is there.
    """
    from sealift.line import BUILD

    if all(line.run.has(node.station, node.subject) for node in line.nodes(BUILD)):
        with output.open("a", encoding="utf-8") as file:
            file.write(f"evidence={line.chain().seal()}\n")
