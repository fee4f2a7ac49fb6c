"""The report for somebody at a desk."""

from __future__ import annotations

import sys
from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sealift.report.collect import Report
from sealift.texts import one_line, shown


def show(report: Report) -> None:
    """Print what was released, how the gates stand, and everything that was not a plain pass."""
    # Piped into a file, a line stays whole.
    width = None if sys.stdout.isatty() else 160
    # Without markup: a name from outside may look like some.
    console = Console(
        file=sys.stdout, width=width, highlight=False, soft_wrap=True, markup=False, emoji=False
    )
    console.print(
        Text(f"\n{one_line(report.outcome)}", style="bold").append(
            f" {report.version} at {one_line(report.commit[:12])} ({report.world}, {report.seconds:.1f} s)",
            style="not bold",
        )
    )
    table = Table(box=None, pad_edge=False)
    for column in ("image", "platform", "digest", "MB"):
        table.add_column(column, overflow="fold")
    for image in report.images.values():
        table.add_row(image.repository, ", ".join(image.tags) or "no tag", image.digest, "")
        for platform, built in image.platforms.items():
            table.add_row("", one_line(platform), built.digest, f"{built.compressed_bytes / 1e6:.2f}")
    console.print(table)
    counts = Counter(gate.verdict for gate in report.gates)
    made = report.made
    console.print(
        f"gates: {', '.join(f'{n} {verdict}' for verdict, n in counts.items()) or 'none'}; "
        f"signatures and attestations: {len(report.signatures)}, {made.signatures} made now; "
        f"assets: {made.assets} uploaded now; tags: {made.tags} put now"
    )
    if report.outcome in ("released", "rehearsed") and not made:
        console.print("all of it was there already, as it was: nothing was made")
    for gate in report.gates:
        if gate.verdict != "pass":
            detail = shown(gate.detail).replace("\n", "\n      ")
            console.print(f"  {gate.verdict}: {one_line(f'{gate.station} {gate.subject}')}: {detail}")
    for title, lines in (
        ("exceptions", report.exceptions),
        ("weaker than the default", tuple(map(str, report.weaker))),
        (f"policy since {report.policy.since or 'the last release'}", report.policy.lines()),
        ("left out (the release is the commit)", report.left_out),
        ("stand-ins", report.stand_ins),
        ("programs", tuple(f"{p.name}: {p.note}" for p in report.programs if p.note)),
    ):
        if lines:
            console.print(f"{title}:")
            for line in lines:
                console.print(f"  {one_line(line)}")
