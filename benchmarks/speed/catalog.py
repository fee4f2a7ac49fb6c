"""Every row of the table: what it means, and the greatest value that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Unit = Literal["ratio", "s", "MB", "%"]


class Row(msgspec.Struct, frozen=True):
    """One row; ``figure`` is what ``nox -s bench -- FIGURE`` takes, ``limit`` is None where none was set."""

    figure: str
    what: str
    unit: Unit
    limit: float | None = None


ROWS: Mapping[str, Row] = {
    "chain": Row(
        "chain",
        "the line's wall time ÷ its longest chain of node durations, everything cached",
        "ratio",
        1.10,
    ),
    "script": Row("script", "the line ÷ a careful shell script that does the same work", "ratio", 0.5),
    "script-whole": Row(
        "script",
        "the whole command with its services' start ÷ the same script, whose services are up",
        "ratio",
    ),
    "goreleaser": Row("goreleaser", "the line ÷ GoReleaser 2.15.1, which does less", "ratio", 0.5),
    "sign": Row("sign", "`sign` for all subjects ÷ the script's signing", "ratio", 0.3),
    "sign-v2": Row("sign", "`sign` with the v2 profile, beyond the log's checkpoint interval", "s", 2.0),
    "again": Row(
        "again",
        "a second `release` with nothing to do ÷ the first, both with their services' start",
        "ratio",
        0.2,
    ),
    "gates": Row(
        "gates",
        "comparing one cell's image with the plan and with what the engine shows and unpacks ÷ the line",
        "ratio",
        0.05,
    ),
    "services": Row("services", "a rehearsal's services, up and answering", "s", 3.0),
    "many-2": Row("many", "the line for 2 services ÷ for one", "ratio", 2.0),
    "many-4": Row("many", "the line for 4 services ÷ for one", "ratio", 4.0),
    "many-8": Row("many", "the line for 8 services ÷ for one", "ratio", 8.0),
    "memory": Row("many", "peak memory of the `sealift` process with 8 services", "MB", 250.0),
    "help": Row("help", "`sealift --help`", "s", 0.25),
    "first": Row("first", "the first run, with nothing cached", "s"),
    "endpoints-http-cpu": Row(
        "endpoints", "health-caretaker watching 1,000 endpoints every 10 s by HTTP: of one core", "%", 15.0
    ),
    "endpoints-http-memory": Row("endpoints", "the same: its peak memory", "MB", 100.0),
    "endpoints-https-cpu": Row(
        "endpoints", "the same by HTTPS, a full handshake for each check: of one core", "%", 15.0
    ),
    "endpoints-https-memory": Row("endpoints", "the same by HTTPS: its peak memory", "MB", 100.0),
    "endpoints-full-cpu": Row(
        "endpoints-full", "the same by HTTP, every ring of 100 results full: of one core", "%", 15.0
    ),
    "endpoints-full-memory": Row(
        "endpoints-full", "the same: its peak memory, filled at one check a second", "MB", 100.0
    ),
}
# Where the seconds went, below the table: each has a place of its own in the page.
LISTS = ("chain", "script", "first")
FIGURES = tuple(dict.fromkeys(row.figure for row in ROWS.values()))
# Only when it is asked for by name: half an hour and more of both cores, or a machine that does nothing else.
NOT_UNASKED = frozenset({"first", "endpoints", "endpoints-full"})
