"""What GitHub holds of a version: its tag in git, its release, and every file of that, hashed again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sealift.errors import OutsideError, RefusedError, SealiftError, UsageError
from sealift.model.names import Digest
from sealift.model.plan import Plan
from sealift.model.status import BURNED, PUBLISHED, UNKNOWN_HERE, Finding, What, compared
from sealift.stations.assets import CHECKSUMS, names
from sealift.stations.release_check import contradiction
from sealift.tools.github import Asset, GitHub, Release

T = TypeVar("T")
Answer = tuple[T | None, tuple[Finding, ...]]
_SUM = re.compile(r"([0-9a-f]{64})  (\S+)")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A release on GitHub: what was found, its words, and the files that are as they should be."""

    findings: tuple[Finding, ...]
    body: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def answer(what: What, subject: str, expected: object, ask: Callable[[], T]) -> Answer[T]:
    """Ask the outside one thing; a refusal and a failure become what is said of it."""
    try:
        return ask(), ()
    except RefusedError as error:
        return None, (_said(what, subject, expected, "differs", error),)
    except (OutsideError, UsageError) as error:
        # A trust root that cannot be read is a usage error of a release; for one who looks it is no answer.
        return None, (_said(what, subject, expected, "not checked", error),)


def look_tag(github: GitHub, plan: Plan, commit: str | None) -> Answer[str]:
    """Look which commit the version's tag names on GitHub; ``commit`` is None where nobody here knows."""
    tag = plan.version.git_tag
    named, failed = answer("git tag", tag, commit or "a commit", lambda: github.tag_commit(tag))
    if failed:
        return None, failed
    if commit is None and named is not None:
        return named, (
            Finding(what="git tag", subject=tag, verdict="not checked", expected=UNKNOWN_HERE, got=named),
        )
    return named, (compared("git tag", tag, expected=commit or "a commit", got=named),)


def look_release(github: GitHub, plan: Plan, remembered: Callable[[int], Mapping[str, Digest]]) -> Page:
    """Look at the release and download every file of it.

    ``remembered`` gives, for a release by its number, the digests that were uploaded to it from here.
    """
    tag = plan.version.git_tag
    expected = _state(draft=False, prerelease=plan.version.prerelease)
    release, failed = answer("GitHub release", tag, expected, lambda: github.find_release(tag))
    if failed:
        return Page(findings=failed)
    got = release and (
        BURNED if release.burned else _state(draft=release.draft, prerelease=release.prerelease)
    )
    finding = compared("GitHub release", tag, expected=expected, got=got)
    if release is None:
        return Page(findings=(finding,))
    findings, files = _look_assets(github, plan, release, remembered(release.id))
    return Page(findings=(finding, *findings), body=release.body, files=files)


def checksums(text: str) -> dict[str, Digest]:
    """Read ``SHA256SUMS``; a line of another form names nothing."""
    found = (_SUM.fullmatch(line) for line in text.splitlines())
    return {line[2]: Digest(f"sha256:{line[1]}") for line in found if line}


def _look_assets(
    github: GitHub, plan: Plan, release: Release, uploaded: Mapping[str, Digest]
) -> tuple[tuple[Finding, ...], Mapping[str, bytes]]:
    wanted = [name for cell in plan.cells for name in names(plan, cell)]
    known = {asset.name: asset for asset in release.assets}
    sums, findings = _look_sums(github, known.get(CHECKSUMS), wanted, uploaded.get(CHECKSUMS))
    files: dict[str, bytes] = {}
    for name in wanted:
        expected = uploaded.get(name) or sums.get(name)
        data, finding = _look_asset(github, name, known.get(name), expected)
        findings += (finding,)
        if data is not None and finding.verdict == "agrees":
            files[name] = data
    return (*findings, *_others(known, wanted)), files


def _look_sums(
    github: GitHub, asset: Asset | None, wanted: list[str], uploaded: Digest | None
) -> tuple[dict[str, Digest], tuple[Finding, ...]]:
    """Read the checksums, which must name every other file."""
    data, finding = _look_asset(github, CHECKSUMS, asset, uploaded)
    if data is None:
        return {}, (finding,)
    sums = checksums(data.decode(errors="replace"))
    if uploaded is None:
        expected, got = (f"names {', '.join(sorted(named))}" for named in (wanted, sums))
        finding = compared("asset", CHECKSUMS, expected=expected, got=got)
    return sums, (finding,)


def _look_asset(
    github: GitHub, name: str, asset: Asset | None, expected: Digest | None
) -> tuple[bytes | None, Finding]:
    words = expected or f"what {CHECKSUMS} says"
    if asset is None or not asset.uploaded:
        return None, compared("asset", name, expected=words, got=None)
    data, failed = answer("asset", name, words, lambda: github.download(asset))
    if data is None:
        return None, failed[0]
    if expected is None:
        # Nothing to hold it against; that the checksums are missing is said of them.
        got = str(Digest.of(data))
        return data, Finding(what="asset", subject=name, verdict="not checked", expected=words, got=got)
    if Digest.of(data) == expected and (wrong := contradiction(asset, data)):
        return None, Finding(what="asset", subject=name, verdict="differs", expected=str(expected), got=wrong)
    return data, compared("asset", name, expected=expected, got=Digest.of(data))


def _others(known: Mapping[str, Asset], wanted: list[str]) -> Iterator[Finding]:
    for name in sorted(set(known) - {*wanted, CHECKSUMS}):
        yield compared("other asset", name, expected="no such file", got="a file that no release makes")


def _state(*, draft: bool, prerelease: bool) -> str:
    return ("a draft" if draft else PUBLISHED) + (" as a prerelease" if prerelease else "")


def _said(what: What, subject: str, expected: object, verdict: str, error: SealiftError) -> Finding:
    got = " ".join(error.happened.split())
    return Finding(what=what, subject=subject, verdict=verdict, expected=str(expected), got=got)  # type: ignore[arg-type]
