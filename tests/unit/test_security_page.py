"""docs/security.md names code and tests that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.attacks.catalogue import PAGE, ROOT, page

END_OF_DEFENCES = "## Attacks that are tried"


@dataclass(frozen=True)
class Row:
    """One defence: where it is, and the tests that prove it, each a file with or without a function."""

    threat: str
    places: tuple[str, ...]
    tests: tuple[str, ...]


def rows(text: str) -> Iterator[Row]:
    """Read the tables of defences, which have four columns."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line == END_OF_DEFENCES:
            return
        if line.startswith("| ") and len(cells) == 4 and cells[0] != "threat":
            places, tests = (tuple(re.findall(r"`([^`]+)`", cell)) for cell in cells[2:])
            yield Row(cells[0], places, tests)


def mistakes(text: str) -> list[str]:
    """Name every place and test that does not exist, and every row that names none."""
    found = []
    for row in rows(text):
        if not row.places or not row.tests:
            found.append(f"no place or no test: {row.threat}")
        for place in row.places:
            path = ROOT / place if place.startswith(("src/", ".github/")) else ROOT / "src/sealift" / place
            if not path.exists():
                found.append(f"no such place: {place}")
        for test in row.tests:
            name, _, function = test.partition("::")
            path = ROOT / name if name.startswith("src/") else ROOT / "tests" / name
            if not path.is_file() or not re.search(rf"\b{function}\(" if function else "", path.read_text()):
                found.append(f"no such test: {test}")
    return found


def test_every_defence_names_code_and_tests_that_exist() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(list(rows(text))) > 20
    assert mistakes(text) == []


def test_a_row_without_its_code_or_test_is_noticed() -> None:
    assert mistakes("| a | b | `nowhere.py` | `unit/test_main.py::test_none` |") == [
        "no such place: nowhere.py",
        "no such test: unit/test_main.py::test_none",
    ]
    assert mistakes("| a | b | - | `unit/test_main.py` |") == ["no place or no test: a"]


def test_the_table_of_attacks_is_what_the_tests_try() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "write it again with: python -m tests.attacks.catalogue"
