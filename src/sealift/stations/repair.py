"""Which command repairs what was found: the first row of the table that fits, never two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from sealift.model.names import Version
from sealift.model.status import (
    AN_IMAGE,
    BURNED,
    NO_PLATFORM,
    PUBLISHED,
    SEVERAL,
    UNKNOWN_HERE,
    Finding,
)

Findings = Sequence[Finding]
# What nobody can change once the release is published.
IMMUTABLE = frozenset({"GitHub release", "release page", "asset", "other asset"})


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a version is looked at from: which world, and the options that were given for it.

    ``asked`` tells that the version was named and is not the one that comes by itself; ``checkout`` is what
    must be checked out for it, where something else is.
    """

    world: Literal["rehearsal", "production"]
    version: Version
    asked: bool = False
    options: str = ""
    checkout: str = ""

    def verb(self, name: str, version: Version | None = None) -> str:
        """Write a verb with the options that lead to the same world."""
        named = version or (self.version if self.asked else None)
        return " ".join(filter(None, ["sealift", name, f"--version={named}" if named else "", self.options]))

    def released_again(self, version: Version | None = None, verb: str = "release") -> str:
        """Resume a release: a desk does it in a rehearsal, and only GitHub in production."""
        if self.world == "rehearsal":
            first = f"git checkout {self.checkout} && " if self.checkout and version is None else ""
            return first + self.verb(verb, version)
        tag = (version or self.version).git_tag
        found = f"gh run list --workflow=release.yml --branch={tag} --limit=1 --json=databaseId"
        return f"gh run rerun $({found} --jq='.[0].databaseId')"

    def another_version(self, findings: Findings = ()) -> str:
        """Begin the version that comes next: after every one that a moving tag of its line stands for."""
        number = self.version.number
        released = [Version.parse(f.expected) for f in findings if f.what == "moving tag"]
        line = [v for v in released if (v.number.major, v.number.minor) == (number.major, number.minor)]
        following = max([self.version, *line]).next_patch()
        begun = f"git tag {following.git_tag} && git push origin {following.git_tag}"
        rehearsed = self.verb("release", following)
        return f"release a new version: {rehearsed if self.world == 'rehearsal' else begun}"


@dataclass(frozen=True)
class Rule:
    """One row: when it fits, what the findings come to, and what repairs it."""

    fits: Callable[[Findings], bool]
    means: str
    command: Callable[[Place, Findings], str]


def repair(findings: Findings, place: Place) -> tuple[str, str]:
    """Return what the findings come to and the one command; two empty texts when all agree."""
    rule = next((row for row in TABLE if row.fits(findings)), None)
    return (rule.means, rule.command(place, findings)) if rule else ("", "")


def _any(findings: Findings, verdict: str, *whats: str) -> bool:
    return any(f.verdict == verdict and (f.what in whats or not whats) for f in findings)


def _published(findings: Findings) -> bool:
    """Tell whether people can see the release; what it holds can then no longer be changed."""
    return any(f.what == "GitHub release" and f.got.startswith(PUBLISHED) for f in findings)


def _wrong(findings: Findings) -> Findings:
    return [f for f in findings if f.verdict in ("missing", "differs")]


def _damaged(findings: Findings) -> bool:
    return (
        _any(findings, "differs", "git tag", "version tag")
        or (_published(findings) and any(f.what in IMMUTABLE for f in _wrong(findings)))
        # What the version's tag names is wrong in itself, and neither changes.
        or (_any(findings, "agrees", "version tag") and any(map(_is_content, _wrong(findings))))
    )


def _is_content(finding: Finding) -> bool:
    """Tell whether an index is not as it should be, though the registry has lost nothing of it."""
    return (finding.what == "platform" and finding.expected in (AN_IMAGE, NO_PLATFORM)) or (
        finding.what in ("index", "platform") and finding.verdict == "differs"
    )


def _burned(findings: Findings) -> bool:
    return any(f.what == "GitHub release" and f.got == BURNED for f in findings)


def _several(findings: Findings) -> bool:
    return any(f.what == "GitHub release" and SEVERAL in f.got for f in findings)


def _nothing_there(findings: Findings) -> bool:
    release = [f for f in findings if f.what in ("GitHub release", "version tag")]
    return bool(release) and all(f.verdict == "missing" for f in release)


def _only_behind(findings: Findings) -> bool:
    return {f.what for f in _wrong(findings)} == {"moving tag"}


def _only_lost(findings: Findings) -> bool:
    return all(
        f.what in ("index", "platform") and f.verdict == "missing" and not _is_content(f)
        for f in _wrong(findings)
    )


def _begin(place: Place, findings: Findings) -> str:
    if place.world == "production" and _any(findings, "missing", "git tag"):
        return f"git push origin {place.version.git_tag}"
    return place.released_again()


def _newest(place: Place, findings: Findings) -> str:
    """Promote the version that the tags should name: an older one would move nothing."""
    newest = max(Version.parse(f.expected) for f in _wrong(findings))
    return place.released_again(newest if newest != place.version else None, "promote")


def _delete(place: Place, findings: Findings) -> str:
    name = next(f.subject for f in findings if f.what == "other asset")
    if place.world == "rehearsal":
        return "sealift rehearse reset"
    return f"gh release delete-asset {place.version.git_tag} {name}"


def _delete_all_but_one(place: Place, _findings: Findings) -> str:
    if place.world == "rehearsal":
        return "sealift rehearse reset"
    return f"delete all but one release or draft of {place.version.git_tag} on GitHub, under Releases"


def _fetch(place: Place, _findings: Findings) -> str:
    return f"git fetch origin tag {place.version.git_tag}"


def _again(place: Place, _findings: Findings) -> str:
    production = " --production" if place.world == "production" else ""
    return place.verb("status") + production


TABLE = (
    Rule(
        _burned,
        "the release was deleted and was immutable, so its tag can never be released again",
        Place.another_version,
    ),
    Rule(_damaged, "what was published cannot be changed any more", Place.another_version),
    Rule(_several, "which of several releases is meant cannot be told", _delete_all_but_one),
    Rule(_nothing_there, "nothing of it is there yet", _begin),
    Rule(lambda f: _any(f, "missing", "git tag"), "the tag is not on GitHub", _begin),
    Rule(lambda f: _any(f, "differs", "other asset"), "somebody added a file to the draft", _delete),
    Rule(_only_behind, "the moving tags are behind", _newest),
    Rule(
        lambda f: bool(_wrong(f)) and _only_lost(f),
        "the registry has lost a part of an image",
        lambda place, _: place.released_again(verb="push"),
    ),
    Rule(
        lambda f: bool(_wrong(f)),
        "the release was not finished, or has lost something; again does only what is missing",
        lambda place, _: place.released_again(),
    ),
    Rule(lambda f: any(x.expected == UNKNOWN_HERE for x in f), "this checkout does not have the tag", _fetch),
    Rule(lambda f: _any(f, "not checked"), "not everything could be looked at", _again),
)
