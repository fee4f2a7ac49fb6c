"""``ci/exceptions.yaml``: what a gate lets through, who answers for it, why, and until when.

    exceptions = load(Path("ci/exceptions.yaml"))
    for one in matching(exceptions, kind="base", id="debian12"):
        print(one.owner, one.reason, one.until, one.holds_on(today))

A gate that uses one passes as "excused", never as "pass", and names it. One that is past its last day
excuses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec

from sealift.model.settings import PlainLine, Suite, Words
from sealift.model.yamlfile import load_yaml, parse_yaml
from sealift.model.yamlproblems import Problem

Kind = Literal["finding", "base", "user", "signer"]
# After half a year the reason is looked at again. Counted from today: a waiver that was accepted once is
# never refused later for its length.
LONGEST = timedelta(days=180)


class _Id(NamedTuple):
    pattern: re.Pattern[str]
    words: str


IDS: Mapping[Kind, _Id] = {
    "finding": _Id(
        re.compile(r"GHSA(?:-[0-9a-z]{4}){3}|(?!GHSA-)[A-Z]{2,}[A-Z0-9]*(?:-[A-Z0-9]+)+"),
        "an advisory as its source writes it (CVE-2026-12345, GHSA-abcd-1234-ef56)",
    ),
    "base": _Id(re.compile("|".join(get_args(Suite))), f"a suite: {', '.join(get_args(Suite))}"),
    "user": _Id(
        re.compile(r"0:(?:0|[1-9][0-9]*)|[1-9][0-9]*:0"),
        'image.user of ci/release.yaml with a 0, in quotes ("0:0")',
    ),
    "signer": _Id(
        # In clear only on this machine, where a rehearsal's issuer is.
        re.compile(r"\S+ (?:https://\S+|http://(?:localhost|127\.0\.0\.1)(?::\d+)?(?:/\S*)?)"),
        "identity and issuer of ci/bases.lock.yaml, with a space between them",
    ),
}


class Exception_(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):  # noqa: N801 - the plain name is Python's own
    """One thing that a gate lets through.

    ``id`` is what ``IDS`` describes: an advisory (any of its names), a suite of bases, the user of the
    images, or who signed a base; ``package`` narrows a finding to one package; ``until`` is the last day on
    which it holds.
    """

    kind: Kind
    id: PlainLine
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


def parse(text: str, path: Path) -> tuple[Exception_, ...]:
    """Read a file's text; ``path`` is for messages."""
    return parse_yaml(text, path, tuple[Exception_, ...], check=_check)


def parse_former(text: str, path: Path) -> tuple[Exception_, ...]:
    """Read the text of an earlier commit, whose waivers were judged on another day."""
    return parse_yaml(text, path, tuple[Exception_, ...])


def _check(exceptions: tuple[Exception_, ...]) -> Iterator[Problem]:
    seen: set[tuple[str, str, str | None]] = set()
    latest = datetime.now(UTC).date() + LONGEST
    for number, one in enumerate(exceptions):
        key = (one.kind, one.id, one.package)
        if key in seen:
            words = f"{one.kind} {one.id} is excused twice, and two end dates cannot both hold"
            yield Problem((number,), words, "keep one of the two entries", keyed=False)
        seen.add(key)
        wanted = IDS[one.kind]
        if not wanted.pattern.fullmatch(one.id):
            yield Problem((number, "id"), f"{one.id!r} is not {wanted.words}")
        if one.until > latest:
            words = f"{one.until} is more than {LONGEST.days} days from today"
            yield Problem((number, "until"), words, f"write until: {latest}, or an earlier day")


def matching(exceptions: Iterable[Exception_], *, kind: Kind, id: str) -> tuple[Exception_, ...]:  # noqa: A002 - the field's own name
    """Return the entries about one thing, those that ended too: the gate names them."""
    return tuple(one for one in exceptions if one.kind == kind and one.id == id)


def concerning(exceptions: Iterable[Exception_], suite: str) -> tuple[Exception_, ...]:
    """Return what may excuse something in a release on one suite: another suite's entry cannot."""
    return tuple(one for one in exceptions if one.kind != "base" or one.id == suite)


class Held(NamedTuple):
    """The waiver about one thing that holds; without one, what ended, and how a waiver would be written."""

    waiver: Exception_ | None
    instead: str


def holding(exceptions: Iterable[Exception_], kind: Kind, name: str, today: date) -> Held:
    """Look for a waiver that holds today."""
    about = matching(exceptions, kind=kind, id=name)
    ended = "".join(f"; the waiver of {one.owner} ended on {one.until}" for one in about)
    written = f'; it needs a waiver in ci/exceptions.yaml: kind: {kind}, id: "{name}"'
    return Held(next((one for one in about if one.holds_on(today)), None), ended or written)
