"""A comparison as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sealift.compare.claims import claimed, megabytes, milliseconds
from sealift.compare.values import SEVERITIES, Comparison, Machine, Measured, NotMeasured

FINDINGS = "findings"
NOT_HERE = "not measured here"


def findings(measured: Measured) -> str:
    """Write how many weaknesses were found, the worst first."""
    counted = [f"{measured.findings[s]} {s.lower()}" for s in SEVERITIES if measured.findings.get(s)]
    return ", ".join(counted) or "none"


ROWS: tuple[tuple[str, Callable[[Measured], str]], ...] = (
    ("base alone, compressed", lambda m: megabytes(m.contents.base.compressed)),
    ("base alone, unpacked", lambda m: megabytes(m.contents.base.unpacked)),
    ("with the service, compressed", lambda m: megabytes(m.contents.total.compressed)),
    ("with the service, unpacked", lambda m: megabytes(m.contents.total.unpacked)),
    ("files", lambda m: f"{m.contents.files:,}"),
    ("packages", lambda m: str(m.contents.packages)),
    ("programs that can be executed", lambda m: str(m.contents.programs)),
    ("setuid files", lambda m: str(m.contents.setuid)),
    ("shell", lambda m: ", ".join(m.contents.shells) or "none"),
    ("package manager", lambda m: ", ".join(m.contents.package_managers) or "none"),
    (FINDINGS, findings),
    ("start to first good /healthz, median", lambda m: milliseconds(m.start)),
    ("middle half of the starts within", lambda m: milliseconds(m.spread)),
    ("memory at rest, cgroup", lambda m: megabytes(m.cgroup)),
    ("memory at rest, RSS", lambda m: megabytes(m.rss)),
    ("requests per second, one client", lambda m: f"{m.requests_per_second:,.0f}"),
    ("middle half of the rates within", lambda m: f"{m.rate_spread:,.0f}"),
)
# What stands between them in a page is written by `sealift compare`.
BEGIN, END = "<!-- comparison -->", "<!-- end of the comparison -->"
CLAIMED = {"base alone, unpacked": "base", "with the service, unpacked": "total"}


def markdown(comparison: Comparison) -> str:
    """Write the whole comparison: where and when, the table, and what became of the claims."""
    return "\n".join(
        [
            *_where(comparison),
            "",
            *_table(
                ["", *(kind.title for kind in comparison.kinds)],
                [[name, *_cells(comparison, name, read)] for name, read in ROWS],
            ),
            "",
            *_notes(comparison),
            *_table(
                ["claim", "verdict", "measured"],
                [[v.claim, v.verdict, v.measured] for v in comparison.verdicts],
            ),
            "",
        ]
    )


def into_page(page: str, text: str) -> str:
    """Put a comparison between a page's two markers; a page without them stays as it is."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{text}{end}{after}" if end else page


def describe(machine: Machine) -> str:
    """Write a machine in a line."""
    return (
        f"{machine.processor}, {machine.cores} cores, {machine.memory / 2**30:.0f} GiB, "
        f"Linux {machine.kernel}, {machine.engine}; load average {machine.load:.1f}"
    )


def _where(comparison: Comparison) -> Iterator[str]:
    starts = max((len(kind.running.starts) for kind in comparison.measured.values()), default=0)
    yield f"Measured on {comparison.date}: version {comparison.version} at `{comparison.commit[:12]}`, "
    yield f"{comparison.platform}, {describe(comparison.machine)}."
    yield f"{starts} starts of each kind, in turn. 1 MB is 1,000,000 bytes."


def _notes(comparison: Comparison) -> Iterator[str]:
    known = comparison.advisories
    if known.stand_in is None:
        yield f"Findings are Trivy's, with {known.source} of {known.date}."
    else:
        yield (
            f"Findings were not measured here: in place of its own database Trivy had the {known.stand_in} "
            f"advisories of {known.source}, checked on {known.date}, too few to say anything of an image."
        )
    for kind in comparison.kinds:
        if isinstance(kind, NotMeasured):
            yield f"{kind.title} was not measured here: {kind.why}. Its sizes are what people say of it."
    yield ""


def _cells(comparison: Comparison, name: str, read: Callable[[Measured], str]) -> Iterator[str]:
    """Write a row's cells; findings out of a stand-in's few advisories are none."""
    known = comparison.advisories.stand_in
    for kind in comparison.kinds:
        if name == FINDINGS and known is not None and isinstance(kind, Measured):
            yield f"{NOT_HERE} (stand-in database of {known} advisories)"
        else:
            yield _cell(kind, name, read)


def _cell(kind: Measured | NotMeasured, name: str, read: Callable[[Measured], str]) -> str:
    if isinstance(kind, Measured):
        return read(kind)
    said = claimed(kind.kind, CLAIMED[name]) if name in CLAIMED else None
    return NOT_HERE if said is None else f"{NOT_HERE} (said: {said:g} MB)"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _line(head)
    yield _line(["---"] * len(head))
    yield from (_line(row) for row in rows)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
