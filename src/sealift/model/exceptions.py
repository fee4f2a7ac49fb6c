"""``ci/exceptions.yaml``: what a gate lets through, who answers for it, why, and until when.

    exceptions = load(Path("ci/exceptions.yaml"))
    for one in matching(exceptions, kind="base", id="debian12"):
        print(one.owner, one.reason, one.until, one.holds_on(today))

A gate that uses one passes as "excused", never as "pass", and names it. One that is past its last day
excuses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Literal, get_args

import msgspec

from sealift.model.settings import ExceptionId, PlainLine, Suite, Words
from sealift.model.yamlfile import load_yaml
from sealift.model.yamlproblems import Problem

Kind = Literal["finding", "base"]


class Exception_(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):  # noqa: N801 - the plain name is Python's own
    """One thing that a gate lets through.

    ``id`` is an advisory (any of its names) or a suite of bases; ``package`` narrows a finding to one
    package; ``until`` is the last day on which it holds.
    """

    kind: Kind
    id: ExceptionId
    owner: Words
    reason: Words
    until: date
    package: PlainLine | None = None

    def holds_on(self, day: date) -> bool:
        """Tell whether it still excuses anything on that day."""
        return day <= self.until

    def __str__(self) -> str:
        what = f"{self.id} in {self.package}" if self.package else self.id
        return f"{self.kind} {what}: {self.reason} ({self.owner}, until {self.until})"


def load(path: Path) -> tuple[Exception_, ...]:
    """Read the file; raise UsageError with the line of what cannot be used."""
    return load_yaml(path, tuple[Exception_, ...], check=_check)


def _check(exceptions: tuple[Exception_, ...]) -> Iterator[Problem]:
    seen: set[tuple[str, str, str | None]] = set()
    for number, one in enumerate(exceptions):
        key = (one.kind, one.id, one.package)
        if key in seen:
            words = f"{one.kind} {one.id} is excused twice, and two end dates cannot both hold"
            yield Problem((number,), words, "keep one of the two entries", keyed=False)
        seen.add(key)
        if (one.kind == "base") != (one.id in get_args(Suite)):
            of = "a suite: " + ", ".join(get_args(Suite)) if one.kind == "base" else "an advisory"
            yield Problem((number, "id"), f"{one.id} is not the name of {of}")


def matching(exceptions: Iterable[Exception_], *, kind: Kind, id: str) -> tuple[Exception_, ...]:  # noqa: A002 - the field's own name
    """Return the entries about one thing, those that ended too: the gate names them."""
    return tuple(one for one in exceptions if one.kind == kind and one.id == id)


def concerning(exceptions: Iterable[Exception_], suite: str) -> tuple[Exception_, ...]:
    """Return what may excuse something in a release on one suite: another suite's entry cannot."""
    return tuple(one for one in exceptions if one.kind != "base" or one.id == suite)
