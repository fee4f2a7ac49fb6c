"""These tests run the real programs."""

from __future__ import annotations

import pytest

from sealift.provision.everything import Provided


@pytest.fixture(scope="session", autouse=True)
def programs(provided: Provided) -> Provided:
    """Have the programs before the first test."""
    return provided
