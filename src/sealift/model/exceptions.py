"""``ci/exceptions.yaml``: what a gate lets through, who answers for it, why, and until when.

    exceptions = load(Path("ci/exceptions.yaml"))
    for one in matching(exceptions, kind="base", id="debian12"):
        print(one.owner, one.reason, one.until, one.holds_on(today))

A gate that uses one passes as "excused", never as "pass", and names it. One that is past its last day
excuses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from sealift.errors import UsageError
from sealift.model.yamlfile import load_yaml

Kind = Literal["finding", "base"]
Words = Annotated[str, msgspec.Meta(min_length=3)]


class Exception_(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):  # noqa: N801 - the plain name is Python's own
    """One thing that a gate lets through.

    ``id`` is an advisory (any of its names) or a suite of bases; ``package`` narrows a finding to one
    package; ``until`` is the last day on which it holds.
    """

    kind: Kind
    id: Words
    owner: Words
    reason: Words
    until: date
    package: str | None = None

    def holds_on(self, day: date) -> bool:
        """Tell whether it still excuses anything on that day."""
        return day <= self.until

    def __str__(self) -> str:
        what = f"{self.id} in {self.package}" if self.package else self.id
        return f"{self.kind} {what}: {self.reason} ({self.owner}, until {self.until})"


def load(path: Path) -> tuple[Exception_, ...]:
    """Read the file; raise UsageError with the line of what cannot be used."""
    exceptions = load_yaml(path, tuple[Exception_, ...])
    seen: set[tuple[str, str, str | None]] = set()
    for one in exceptions:
        key = (one.kind, one.id, one.package)
        if key in seen:
            raise UsageError(
                f"{path} excuses {one.kind} {one.id} twice",
                means="two end dates cannot both hold",
                next_step="keep one of the two entries",
            )
        seen.add(key)
    return exceptions


def matching(exceptions: Iterable[Exception_], *, kind: Kind, id: str) -> tuple[Exception_, ...]:  # noqa: A002 - the field's own name
    """Return the entries about one thing, those that ended too: the gate names them."""
    return tuple(one for one in exceptions if one.kind == kind and one.id == id)


def concerning(exceptions: Iterable[Exception_], suite: str) -> tuple[Exception_, ...]:
    """Return what may excuse something in a release on one suite: another suite's entry cannot."""
    return tuple(one for one in exceptions if one.kind != "base" or one.id == suite)
