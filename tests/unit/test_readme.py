"""What the README tells people to type is there."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from sealift import network
from sealift.cli import VERBS
from sealift.line import STATIONS, programs_of
from sealift.model.config import Config
from sealift.tools.go import MODULE_SETTINGS
from sealift.tools.sigstore_token import TOKEN_VARIABLES

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


@pytest.mark.parametrize(
    "name",
    [
        *(*network.PROXY_VARIABLES, "NO_PROXY", *network._PLACES, *MODULE_SETTINGS, *TOKEN_VARIABLES),
        *(field.name for field in msgspec.structs.fields(Config) if not field.required),
    ],
)
def test_a_setting_that_is_read_is_on_its_page(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "environment.md").read_text(encoding="utf-8")
