"""The findings of ``sealift status`` for somebody at a desk."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from sealift.model.status import Finding, Status
from sealift.texts import one_line

_LONG = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


def lines(status: Status) -> Iterator[str]:
    """Say of each thing what was found, then what it comes to. Digests are cut; ``--json`` has them whole."""
    width = max((len(f.what) for f in status.findings), default=0)
    for finding in status.findings:
        yield _LONG.sub(r"\1", f"{finding.verdict:<11}  {finding.what:<{width}}  {_words(finding)}")
    counts = Counter(finding.verdict for finding in status.findings)
    told = ", ".join(_count(number, verdict) for verdict, number in counts.items())
    yield f"{status.version}, {status.world}: {told or 'nothing was looked at'}"
    if status.repair:
        yield f"{status.means}: {status.repair}"


def _words(finding: Finding) -> str:
    if finding.verdict == "agrees":
        return one_line(f"{finding.subject}: {finding.got}")
    return one_line(f"{finding.subject}: expected {finding.expected}, got {finding.got}")


def _count(number: int, verdict: str) -> str:
    return f"{number} {verdict if number == 1 else verdict.removesuffix('s')}"
