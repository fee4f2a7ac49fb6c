"""Rehearsals behind proxies, one of each world for all the faults that are played in it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator

import pytest

from sealift.commands.opening import Asked
from sealift.provision.everything import Provided
from tests.faults.outside import USUAL
from tests.faults.stand import Stand, standing


@pytest.fixture(scope="session")
def stands(
    provided: Provided, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Asked], Stand]]:
    """Give each world's release that is ready to be pushed, and one that is signed."""
    assert provided.programs
    with contextlib.ExitStack() as stack:

        @functools.cache
        def stand(asked: Asked) -> Stand:
            return stack.enter_context(standing(tmp_path_factory.mktemp("faults"), asked))

        yield stand


@pytest.fixture
def stand(stands: Callable[[Asked], Stand]) -> Stand:
    """The release in the world that most people have."""
    return stands(USUAL)
