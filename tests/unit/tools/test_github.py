"""The client of GitHub, before it has asked anything."""

from __future__ import annotations

import pytest
from github.Requester import Requester

from sealift.errors import UsageError
from sealift.tools.github import TIMEOUT, GitHub


def test_no_connection_waits_for_ever_also_to_where_assets_are() -> None:
    GitHub("https://api.github.com", "a-token", "o/n")
    for kind in ("http", "https"):
        other = getattr(Requester, f"_Requester__{kind}ConnectionClass")
        assert other("uploads.github.com", None, retry=None, pool_size=None).timeout == TIMEOUT
        assert other("uploads.github.com", None, timeout=5).timeout == 5


def test_an_empty_token_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="there is no token for GitHub"):
        GitHub("https://api.github.com", "", "o/n")
