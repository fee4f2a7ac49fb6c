"""Whether GitHub shows exactly the release that was drafted: its words, its tag, and every file.

    check(release, wanted)
    check_files(github, release, wanted.assets)

Every file is read and hashed each time that something depends on it: neither the id of an asset nor the
digest that GitHub tells is believed. Threads read them, so that it takes little time.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping

from sealift.errors import RefusedError
from sealift.model.config import Strict
from sealift.model.names import Digest
from sealift.stations.together import together
from sealift.tools.github import Asset, GitHub, Release

_COMMIT = re.compile(r"[0-9a-f]{40}")


class Wanted(Strict, frozen=True, kw_only=True):
    """What a release must be."""

    tag: str
    commit: str
    title: str
    notes: str
    prerelease: bool
    assets: dict[str, Digest]


def check(release: Release, wanted: Wanted) -> None:
    """Refuse a release that says something else than was drafted."""
    if wrong := list(_differences(release, wanted)):
        kind = "draft" if release.draft else "published release"
        raise RefusedError(
            f"the {kind} {wanted.tag} is not what was drafted: {'; '.join(wrong)}",
            means="people would read something that this release did not write",
            next_step=f"find out who changed it: {release.url}; then sealift draft"
            if release.draft
            else f"find out who changed it and put it right, or release a new version: {release.url}",
        )


def check_files(github: GitHub | None, release: Release, assets: Mapping[str, Digest]) -> None:
    """Read every file through the API, and refuse a release whose files are not as built.

    Without ``github`` only what was told of them is compared.
    """
    _check_files(release, assets, functools.partial(problem, github))


def check_downloads(github: GitHub, release: Release, assets: Mapping[str, Digest]) -> bool:
    """Read every file of a published release as people do, without a login; False where that needs one."""
    denied: list[str] = []

    def page_problem(asset: Asset, digest: Digest) -> str:
        if (data := github.download_page(asset)) is None:
            denied.append(asset.name)
            return ""
        return _bytes_problem(asset, data, digest)

    _check_files(release, assets, page_problem)
    if denied and len(denied) < len(assets):
        raise RefusedError(
            f"of the published release {release.tag}, only a login can download {', '.join(sorted(denied))}",
            means="a release is public as a whole, or not at all",
            next_step=f"look at {release.url}",
        )
    return not denied


def problem(github: GitHub | None, asset: Asset, digest: Digest) -> str:
    """Say what is wrong with one file, or nothing; what GitHub tells of it must be so."""
    if not asset.uploaded:
        return "its upload broke off"
    if asset.label:
        return f"it is shown as {asset.label!r}"
    if github is None:
        return "" if asset.digest in (None, "", digest) else f"GitHub says that it is {asset.digest}"
    return _bytes_problem(asset, github.download(asset), digest)


def _differences(release: Release, wanted: Wanted) -> Iterator[str]:
    if release.tag != wanted.tag:
        yield f"its tag is {release.tag}"
    if release.title != wanted.title:
        yield f"its title is {release.title!r}, not {wanted.title!r}"
    if _lines(release.body) != _lines(wanted.notes):
        yield "its notes are others"
    if release.prerelease != wanted.prerelease:
        yield f"prerelease={release.prerelease}, not {wanted.prerelease}"
    # A branch says nothing where the tag exists, which is looked at by itself; another commit contradicts it.
    if release.target != wanted.commit and _COMMIT.fullmatch(release.target):
        yield f"its target is {release.target}, not {wanted.commit}"


def _lines(text: str) -> list[str]:
    """GitHub's page for editing ends lines as Windows does."""
    return text.strip().splitlines()


def _check_files(
    release: Release, assets: Mapping[str, Digest], problem_of: Callable[[Asset, Digest], str]
) -> None:
    check_nothing_else(release, assets)
    known = {asset.name: asset for asset in release.assets}

    def one(name: str) -> str:
        return problem_of(known[name], assets[name]) if name in known else "it is not there"

    found = zip(assets, together(one, tuple(assets)), strict=True)
    if wrong := [f"{name}: {words}" for name, words in sorted(found) if words]:
        kind = "draft" if release.draft else "published release"
        raise RefusedError(
            f"the {kind} {release.tag} lacks, or has with other bytes: {'; '.join(wrong)}",
            means="people would not get what was built",
            next_step="sealift draft" if release.draft else f"release a new version; look at {release.url}",
        )


def check_nothing_else(release: Release, assets: Mapping[str, Digest]) -> None:
    """Refuse a release with a file that was not built here, or with one name twice."""
    names = [asset.name for asset in release.assets]
    if foreign := sorted({name for name in names if name not in assets or names.count(name) > 1}):
        raise RefusedError(
            f"the release {release.tag} has assets that were not built here: {', '.join(foreign)}",
            means="what is published must be what was proven",
            next_step=f"find out who added them, then delete them: {release.url}",
        )


def _bytes_problem(asset: Asset, data: bytes, digest: Digest) -> str:
    got = Digest.of(data)
    return f"its bytes are {got}" if got != digest else contradiction(asset, data)


def contradiction(asset: Asset, data: bytes) -> str:
    """Say what GitHub tells of a file that its bytes contradict, or nothing."""
    got = Digest.of(data)
    if asset.label:
        return f"it is shown as {asset.label!r}"
    if asset.size != len(data):
        return f"GitHub says that it has {asset.size} bytes, and it has {len(data)}"
    if asset.digest not in (None, "", got):
        return f"GitHub says that it is {asset.digest}, and it is {got}"
    return ""
