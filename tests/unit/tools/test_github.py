"""The client of GitHub, before it has asked anything."""

from __future__ import annotations

import pytest
from github import GithubException
from github.Requester import Requester

from sealift.errors import OutsideError, UsageError
from sealift.tools.github import GitHub
from sealift.tools.github_connection import TIMEOUT, bound, checked
from sealift.tools.github_errors import BurnedTagError, answered

BURNED_WORDS = "tag_name was used by an immutable release"


def test_no_connection_waits_for_ever_also_to_where_assets_are() -> None:
    GitHub("https://api.github.com", "a-token", "o/n")
    for kind in ("http", "https"):
        other = getattr(Requester, f"_Requester__{kind}ConnectionClass")
        assert other("uploads.github.com", None, retry=None, pool_size=None).timeout == TIMEOUT
        assert other("uploads.github.com", None, timeout=5).timeout == 5


PUBLIC, SERVER, RESIDENCY = "https://api.github.com", "https://ghe.example/api/v3", "https://api.acme.ghe.com"


@pytest.mark.parametrize(
    ("api", "url", "goes"),
    [
        (PUBLIC, "https://api.github.com:443/repos", True),
        (PUBLIC, "https://uploads.github.com:443/repos", True),
        (PUBLIC, "http://uploads.github.com:80/repos", False),
        (PUBLIC, "https://uploads.github.com:8443/repos", False),
        (PUBLIC, "https://evil.github.com:443/repos", False),
        (PUBLIC, "https://objects.githubusercontent.com:443/file", False),
        (PUBLIC, "https://uploads.github.com.evil.example:443/repos", False),
        (SERVER, "https://ghe.example:443/api/uploads/repos", True),
        (SERVER, "https://uploads.ghe.example:443/repos", True),
        (SERVER, "https://uploads.github.com:443/repos", False),
        (SERVER, "https://ghe.example:8443/api/v3", False),
        ("https://ghe.example:8443/api/v3", "https://ghe.example:8443/api/uploads", True),
        (RESIDENCY, "https://uploads.acme.ghe.com:443/repos", True),
        (RESIDENCY, "https://api.other.ghe.com:443/repos", False),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/uploads/repos", True),
        ("http://127.0.0.1:8080", "http://127.0.0.1:9090/uploads/repos", False),
    ],
)
def test_a_token_goes_to_the_api_and_to_where_uploads_go_and_nowhere_else(
    api: str, url: str, goes: bool
) -> None:
    headers: dict[str, str] = {}
    bound("a-token", api).authentication(headers)
    assert headers["Authorization"] == "token a-token"
    if goes:
        checked(headers, url)
        return
    with pytest.raises(OutsideError, match="not GitHub's") as caught:
        checked(headers, url)
    assert (caught.value.again, "a-token" in str(caught.value)) == (False, False)


def test_a_token_that_lost_its_hosts_goes_nowhere() -> None:
    with pytest.raises(OutsideError, match="not GitHub's"):
        checked({"Authorization": "token a-token"}, "https://api.github.com/repos")
    checked({}, "https://anywhere.example/")


def test_an_empty_token_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="there is no token for GitHub"):
        GitHub("https://api.github.com", "", "o/n")


SEVERAL = [
    {
        "resource": "Release",
        "code": "custom",
        "field": "pre_receive",
        "message": "Repository rule violations found",
    },
    {"resource": "Release", "code": "custom", "field": "tag_name", "message": BURNED_WORDS},
    {"resource": "Release", "code": "custom", "message": "Published releases must have a valid tag"},
]


@pytest.mark.parametrize("errors", [SEVERAL, SEVERAL[1:2]], ids=["tag deleted too", "tag still there"])
def test_a_burned_tag_is_an_end_whatever_else_is_said_of_it(errors: list[dict[str, str]]) -> None:
    error = answered(GithubException(422, {"message": "Validation Failed", "errors": errors}), "could not")
    assert isinstance(error, BurnedTagError)
    assert error.exit_code == 3
    assert error.next_step == "release another version"


@pytest.mark.parametrize(
    ("status", "message", "means", "next_step"),
    [
        (422, "Repository rule violations found\n\nCannot create ref", "a ruleset", "Rulesets"),
        (403, "Cannot create ref due to creations being restricted.", "a ruleset", "Rulesets"),
        (422, "Sorry, this is a protected tag", "a rule", "Rules"),
        (422, "Published releases must have a valid tag", "does not have", "push the tag"),
        (422, "Cannot upload assets to an immutable release.", "immutable", "release another version"),
        (403, "Resource not accessible by integration", "lacks a right", "contents: write"),
        (422, "Invalid target_commitish parameter", "does not allow", "releases and tags on GitHub"),
        (409, "Conflict", "does not allow", "releases and tags on GitHub"),
    ],
)
def test_what_github_says_in_words_alone_is_told_with_what_helps(
    status: int, message: str, means: str, next_step: str
) -> None:
    error = answered(GithubException(status, {"message": message}), "could not")
    assert isinstance(error, OutsideError)
    assert not error.again
    assert means in error.means
    assert next_step in error.next_step


def test_a_limit_is_a_limit_whatever_it_is_called() -> None:
    words = "You have exceeded a secondary rate limit: rule violation"
    error = answered(GithubException(429, {"message": words}, {"retry-after": "7"}), "could not")
    assert isinstance(error, OutsideError)
    assert (error.again, error.retry_after) == (True, 7)
