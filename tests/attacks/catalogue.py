"""What an attack is: an artefact, the stage that must block it, its exit code and a word of its message.

``python -m tests.attacks.catalogue`` writes the table of all attacks into docs/security.md.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from sealift.errors import SealiftError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- attacks: begin -->", "<!-- attacks: end -->"

T = TypeVar("T")
Test = TypeVar("Test", bound=Callable[..., Any])
# The attacks that a test compared with what stopped them, by identity: see the fixture in conftest.py.
compared: set[int] = set()


class Kind(StrEnum):
    """The kinds of attack, in the order of the table."""

    READERS = "two readers, two meanings"
    MORE = "more than described"
    BASES = "base images"
    PROGRAM = "programs"
    CONFIGURATION = "configuration as code injection"
    POLICY = "a weaker policy in the same change"
    CLAIMS = "signatures, claims and predicates"
    FINDINGS = "findings and package lists"
    SERVICES = "a registry or GitHub that contradicts itself"
    TAGS = "tags and releases"
    ENVIRONMENT = "the machine's environment"
    CACHES = "caches and programs"
    FILES = "files between jobs"
    OUTPUT = "secrets and text that leave"
    RESOURCES = "time, memory and races"


@dataclass(frozen=True, kw_only=True, eq=False)
class Attack(Generic[T]):
    """One artefact that must be blocked: by which stage or place, with which exit code and words."""

    kind: Kind
    sample: str
    artefact: T
    stage: str
    words: str
    exit_code: int = 3

    def assert_blocked_by(self, error: SealiftError) -> None:
        """Compare exit code, stage and words with the error that was raised."""
        compared.add(id(self))
        assert error.exit_code == self.exit_code, error
        gates = [gate for gate in getattr(error, "gates", ()) if gate.verdict in ("refused", "not-checked")]
        assert {gate.station for gate in gates} <= {self.stage}
        assert self.words in str(error), error

    def assert_ended(self, exit_code: int, output: str) -> None:
        """Compare exit code and words with what a whole command printed."""
        compared.add(id(self))
        assert exit_code == self.exit_code, output
        assert self.words in output


def attacks(
    kind: Kind, stage: str, samples: Mapping[str, tuple[T, str]], *, exit_code: int = 3
) -> tuple[Attack[T], ...]:
    """Make attacks of one kind on one stage from a table: sample, artefact and words."""
    return tuple(
        Attack(kind=kind, sample=sample, artefact=artefact, stage=stage, words=words, exit_code=exit_code)
        for sample, (artefact, words) in samples.items()
    )


def refusals(error: SealiftError) -> list[str]:
    """Return what a gate found wrong."""
    return [gate.detail for gate in getattr(error, "gates", ()) if gate.verdict == "refused"]


def each(*tried: Attack[Any]) -> Callable[[Test], Test]:
    """Run a test once for each attack; it takes the argument ``attack``."""
    samples = [attack.sample for attack in tried]
    assert len(set(samples)) == len(samples), "two attacks of one test have the same name"
    return pytest.mark.parametrize("attack", tried, ids=samples)


def catalogue() -> Iterator[tuple[str, Attack[Any]]]:
    """Give every attack that a test takes, with the test's file and name."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"tests.attacks.{path.stem}")
        for function in vars(module).values():
            if getattr(function, "__module__", None) != module.__name__:
                continue
            for mark in getattr(function, "pytestmark", ()):
                if mark.name == "parametrize" and mark.args[0] == "attack":
                    for attack in mark.args[1]:
                        yield f"{path.name}::{function.__name__}", attack


def table() -> str:
    """Write all attacks as one table, a row for what one test takes of one kind."""
    found = list(catalogue())
    samples = {(attack.kind, attack.sample) for _, attack in found}
    assert len(samples) == len(found), "two attacks of one kind have the same name"
    rows: dict[tuple[Kind, str, str], list[str]] = {}
    for test, attack in found:
        blocked_by = f"{attack.stage} ({attack.exit_code})"
        rows.setdefault((attack.kind, test, blocked_by), []).append(attack.sample.replace("|", "\\|"))
    order = list(Kind)
    lines = [f"{len(found)} artefacts.", "", "| kind | samples | blocked by | test |", "|---|---|---|---|"]
    for (kind, test, blocked_by), named in sorted(rows.items(), key=lambda row: order.index(row[0][0])):
        lines.append(f"| {kind} | {'; '.join(named)} | {blocked_by} | `{test}` |")
    return "\n".join(lines)


def page(text: str) -> str:
    """Put the table between its marks in the page's text."""
    return re.sub(f"(?s){BEGIN}.*{END}", lambda _: f"{BEGIN}\n{table()}\n{END}", text)


def main() -> int:
    """Write the table into docs/security.md."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
