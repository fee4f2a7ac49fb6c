"""``timeline.json``: when each node could start, did, and ended, and each program in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sealift.model.codec import decode, to_json
from sealift.model.names import RunPath
from sealift.model.run import RunFolder
from sealift.schedule import Timed

Rows = list[dict[str, Any]]
TIMELINE = RunPath("timeline.json")


def write_timeline(run: RunFolder, times: Iterable[Timed], began: float) -> None:
    """Publish every node that ran; ``began`` is the monotonic second that all others are counted from."""
    run.publish(TIMELINE, to_json(_rows(times, began, offset=0.0)))


def add_to_timeline(run: RunFolder, times: Iterable[Timed], began: float) -> None:
    """Add the nodes of a station that ran alone, after what ran before it."""
    new = list(times)
    names = {timed.node.name for timed in new}
    before = decode(run.bytes_of(TIMELINE, ""), Rows) if run.exists(TIMELINE) else []
    kept = [row for row in before if row["node"] not in names]
    offset = max((float(row["end"]) for row in kept), default=0.0)
    run.publish(TIMELINE, to_json([*kept, *_rows(new, began, offset=offset)]))


def _rows(times: Iterable[Timed], began: float, *, offset: float) -> Rows:
    def since(moment: float) -> float:
        return round(moment - began + offset, 4)

    return [
        {
            "node": timed.node.name,
            "station": timed.node.station,
            "subject": timed.node.subject,
            "ready": since(timed.ready),
            "start": since(timed.start),
            "end": since(timed.end),
            "programs": [
                {
                    "argv0": ran.argv0,
                    "start": since(ran.start),
                    "end": since(ran.end),
                    "cpu_seconds": round(ran.cpu_seconds, 4),
                    "max_rss_bytes": ran.max_rss_bytes,
                }
                for ran in timed.programs
            ],
        }
        for timed in sorted(times, key=lambda t: t.start)
        if timed.end
    ]
