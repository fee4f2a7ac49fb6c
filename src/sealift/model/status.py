"""What ``sealift status`` found: one finding for each thing that a version consists of outside."""

from __future__ import annotations

from typing import Literal

from sealift.model.config import Strict
from sealift.model.names import Version

Verdict = Literal["agrees", "missing", "differs", "not checked"]
What = Literal[
    "git tag",
    "GitHub release",
    "release page",
    "asset",
    "other asset",
    "version tag",
    "index",
    "platform",
    "signature",
    "attestation",
    "signer",
    "moving tag",
]

PUBLISHED = "published"
# How a draft is told whose tag an immutable release had that was deleted, and that of several.
BURNED = "a draft that GitHub will never publish"
SEVERAL = "releases or drafts of"
# What an index should name for a platform, and for one that the release does not have.
AN_IMAGE, NO_PLATFORM = "an image", "no such platform"
# What a git tag should name where this checkout has no such tag to compare with.
UNKNOWN_HERE = "a commit that this checkout knows"


class Finding(Strict, frozen=True, kw_only=True):
    """One thing that was looked at: what should be there, and what is."""

    what: What
    subject: str
    verdict: Verdict
    expected: str
    got: str


class Status(Strict, frozen=True, kw_only=True):
    """How a version stands outside. ``means`` says what its findings come to, ``repair`` is the one command.

    Both are empty when everything agrees.
    """

    version: Version
    world: str
    findings: tuple[Finding, ...]
    means: str
    repair: str

    @property
    def exit_code(self) -> int:
        """0 when all agree, 3 when anything is missing or differs, 4 when only some was not checked."""
        verdicts = {finding.verdict for finding in self.findings}
        if verdicts & {"missing", "differs"}:
            return 3
        return 0 if verdicts == {"agrees"} else 4


def compared(what: What, subject: str, *, expected: object, got: object) -> Finding:
    """Hold what is there against what should be; None is nothing."""
    verdict: Verdict = "missing" if got is None else "agrees" if expected == got else "differs"
    return Finding(
        what=what,
        subject=subject,
        verdict=verdict,
        expected=str(expected),
        got="nothing" if got is None else str(got),
    )
