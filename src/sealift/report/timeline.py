"""``timeline.json``: when each node could start, did, and ended, and each program in it."""

from __future__ import annotations

from collections.abc import Iterable

from sealift.model.codec import to_json
from sealift.schedule import Timed


def timeline(times: Iterable[Timed], began: float) -> bytes:
    """Write every node that ran; ``began`` is the monotonic second that all others are counted from."""

    def since(moment: float) -> float:
        return round(moment - began, 4)

    return to_json(
        [
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
    )
