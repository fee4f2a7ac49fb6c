"""What the README tells people to type is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
