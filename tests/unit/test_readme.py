"""What the README tells people to type is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sealift.cli import VERBS
from sealift.line import STATIONS, programs_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_every_make_target_of_the_readme_is_in_the_makefile() -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", README))
    assert "docker-build" in named
    assert named - set(TARGETS) == set()


@pytest.mark.parametrize("target", [t for t in TARGETS if t.startswith(("docker-", "check-"))])
def test_every_target_for_images_is_in_the_readme(target: str) -> None:
    assert re.search(rf"\b{target}(?![a-z-])", README)


def test_every_verb_of_the_readme_is_one() -> None:
    named = set(re.findall(r"(?:`|\$ |\()sealift ([a-z]+)", README))
    assert {"explain", "doctor", "status"} <= named
    assert named - set(VERBS) == set()


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_readme_counts_the_programs_that_a_first_release_builds() -> None:
    (count,) = re.findall(r"the first time builds (\d+) programs", README)
    assert int(count) == len(programs_of(STATIONS, rehearsed=True))


def test_sealift_is_typed_as_errors_write_it() -> None:
    """Every *next* begins with ``sealift``: so do the pages, once the environment is active."""
    assert "\n$ . .venv/bin/activate\n" in README
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert [page.name for page in pages if ".venv/bin/sealift" in page.read_text(encoding="utf-8")] == []
