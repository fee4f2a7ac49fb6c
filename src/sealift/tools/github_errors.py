"""What an answer of GitHub means that is no success: whether asking again may help, and when."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from sealift.errors import OutsideError, RefusedError, SealiftError, UsageError
from sealift.model.names import Version
from sealift.patience import passes, retry_after

if TYPE_CHECKING:
    from github.GithubException import GithubException

RIGHT = "contents: write (permissions: in the workflow)"
TRY_AGAIN = "try again; what is done is found again"
# What GitHub's answers mean, and what helps. None of them is a gate's: nobody here has looked.
CONTRADICTED = (
    "GitHub does not allow this with what is there already, and retrying will not help",
    "look at the repository's releases and tags on GitHub for what its answer names; sealift status",
)
ANSWERS: dict[int, tuple[str, str]] = {
    401: ("the token is wrong or has ended", f"give a valid token with {RIGHT}"),
    403: ("the token lacks a right", f"give it {RIGHT}"),
    404: (
        "it is not there, or this token may not see it",
        f"check the repository's name, and that the token has {RIGHT}",
    ),
    409: CONTRADICTED,
    422: CONTRADICTED,
}
# What GitHub says in its words alone, in the order in which they count: of a burned tag it says several.
WORDS: tuple[tuple[str, str, str], ...] = (
    (
        "must have a valid tag",
        "GitHub publishes no release whose tag it does not have",
        "push the tag, then run again; where the push is refused, release another version",
    ),
    (
        "rule violation",
        "a ruleset of the repository does not allow this token to do it",
        "let GitHub Actions bypass that ruleset (Settings, Rules, Rulesets on GitHub), or loosen it",
    ),
    (
        "creations being restricted",
        "a ruleset of the repository protects tags with such names",
        "let GitHub Actions bypass that ruleset (Settings, Rules, Rulesets on GitHub), or loosen it",
    ),
    (
        "protected tag",
        "a rule of the repository protects tags with such names",
        "let GitHub Actions bypass that rule (Settings, Rules on GitHub), or loosen it",
    ),
    (
        "immutable release",
        "the release is published and immutable: its files and its tag stay as they are",
        "release another version",
    ),
)
_BURNED = "used by an immutable release"
UNKNOWN = ("sealift asked what GitHub does not know", "sealift status")
LIMITED = ("too many requests", "wait until GitHub answers again, then the same again")
FAILED = ("GitHub failed", TRY_AGAIN)
# Both answers are used for limits: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api
MAY_BE_LIMITED = frozenset({403, 429})
# What that page asks for where no time is told.
UNTOLD_WAIT = 60.0


class BurnedTagError(RefusedError):
    """A tag that GitHub never publishes again: an immutable release had it, and was deleted."""

    @classmethod
    def of(cls, happened: str, tag: str = "") -> BurnedTagError:
        try:
            following = f": {Version.parse(tag).next_patch()}"
        except UsageError:
            following = ""
        return cls(
            happened,
            means="an immutable release had this tag; GitHub keeps it for ever, also after that was deleted",
            next_step=f"release another version{following}",
        )


def answered(error: GithubException, happened: str) -> SealiftError:
    """Make an error of an answer."""
    limit = _limit(error)
    words = said(error)
    if limit is None and _BURNED in words:
        return BurnedTagError.of(happened)
    named = next(((means, step) for part, means, step in WORDS if part in words.lower()), None)
    if limit is not None:
        means, next_step = LIMITED
    elif named is not None and not passes(error.status):
        means, next_step = named
    elif passes(error.status):
        means, next_step = FAILED
    else:
        means, next_step = ANSWERS.get(error.status, UNKNOWN)
    return OutsideError(
        happened,
        means=means,
        next_step=next_step,
        again=limit is not None or passes(error.status) or _was_late(error),
        retry_after=limit if limit is not None else retry_after(error.headers or {}),
    )


def said(error: GithubException) -> str:
    """Return GitHub's own words, on one line."""
    data = error.data if isinstance(error.data, dict) else {}
    words = [f"GitHub answered {error.status}: {data.get('message') or error.message or 'nothing'}"]
    words += [" ".join(str(d[k]) for k in ("field", "code", "message") if k in d) for d in _details(error)]
    return "; ".join(words)


def _limit(error: GithubException) -> float | None:
    """Return how many seconds GitHub asks to be left alone, or None where no limit was reached."""
    import github

    headers = error.headers or {}
    if error.status not in MAY_BE_LIMITED:
        return None
    if (told := retry_after(headers)) is not None:
        return told
    if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdecimal():
        # A time in whole seconds since 1970: it is over when the next one begins.
        return max(0.0, float(headers["x-ratelimit-reset"]) + 1 - time.time())
    limited = error.status != HTTPStatus.FORBIDDEN or isinstance(error, github.RateLimitExceededException)
    return UNTOLD_WAIT if limited else None


def _was_late(error: GithubException) -> bool:
    """Tell whether GitHub has what it had not listed yet, as after an answer that was lost: look again."""
    return any(detail.get("code") == "already_exists" for detail in _details(error))


def _details(error: GithubException) -> list[dict[str, object]]:
    match error.data:
        case {"errors": [*details]}:
            return [d for d in details if isinstance(d, dict)]
        case _:
            return []
