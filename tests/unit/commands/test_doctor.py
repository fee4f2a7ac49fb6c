"""Where a program is that ``sealift doctor`` knows."""

from __future__ import annotations

import pytest

from sealift.commands.doctor import Row, path_of
from sealift.errors import MissingProgramError, UsageError

ROWS = (
    Row(name="trivy", version="v1", origin="built here", state="locked", path="/cache/trivy"),
    Row(
        name="cosign", version="v2", origin="built here", state="missing", next_step="make release builds it"
    ),
    Row(name="zizmor", version="1", origin="PyPI", state="present"),
)


def test_a_program_that_is_here_has_a_path() -> None:
    assert path_of("trivy", ROWS) == "/cache/trivy"


def test_one_that_is_missing_says_how_to_get_it() -> None:
    with pytest.raises(MissingProgramError, match="make release builds it"):
        path_of("cosign", ROWS)


@pytest.mark.parametrize("name", ["nothing", "zizmor"])
def test_one_that_is_unknown_or_no_file_of_its_own_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="sealift doctor"):
        path_of(name, ROWS)
