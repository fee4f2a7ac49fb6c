"""One rehearsal behind proxies, for all the faults that are played in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sealift.provision.everything import Provided
from tests.faults.stand import Stand, standing


@pytest.fixture(scope="session")
def stand(provided: Provided, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A release that is ready to be pushed, and one that is signed."""
    assert provided.programs
    with standing(tmp_path_factory.mktemp("faults")) as stand:
        yield stand
