"""docs/security.md names code and tests that exist."""

from __future__ import annotations

import re
from collections import Counter
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
        found += [f"no such test: {test}" for test in row.tests if not exists(test)]
    return found


def exists(test: str) -> bool:
    """Tell whether a file of tests exists and, where one is named, the function in it."""
    name, _, function = test.partition("::")
    path = ROOT / name if name.startswith("src/") else ROOT / "tests" / name
    return path.is_file() and bool(re.search(rf"\b{function}\(" if function else "", path.read_text()))


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


# https://github.com/SAP/risk-explorer-for-software-supply-chains, src/data/taxonomy.json
VECTORS = {
    *(f"AV-{n:03}" for n in (0, 1, 100, *range(200, 210), *range(300, 310), *range(400, 404))),
    *(f"AV-{n}" for n in (*range(500, 510), *range(600, 609), *range(700, 704), 800, 801)),
}


def test_every_vector_of_the_taxonomy_has_one_result() -> None:
    text = (ROOT / "docs/supply-chain-attacks.md").read_text(encoding="utf-8")
    assert Counter(re.findall(r"AV-\d{3}", text)) == Counter(VECTORS)
    for row in re.findall(r"^\| (AV-.*) \|$", text, re.MULTILINE):
        vector, result, why, *tests = [cell.strip() for cell in row.split(" | ")]
        assert result in {"blocked", "detected", "out of scope"}, vector
        assert why, vector
        named = [name for cell in tests for name in re.findall(r"`([^`]+)`", cell)]
        assert bool(named) == (result != "out of scope"), vector
        assert [name for name in named if not exists(name)] == []
