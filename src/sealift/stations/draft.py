"""The GitHub release: a draft with every asset as built, then published once.

    words = {"title": "health-caretaker 1.2.3", "notes": notes}
    state = draft(github, tag="v1.2.3", commit=commit, **words, prerelease=False, assets=files)
    published = publish(github, state)

What is there is looked at first, so running again is the resume.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sealift.errors import RefusedError, UsageError
from sealift.model.config import Strict
from sealift.model.names import Digest, Version
from sealift.tools.github import Asset, GitHub, Release
from sealift.tools.github_errors import BurnedTagError

# GitHub renames a file with any other character, or with a dot at an end.
_NAME = re.compile(r"[A-Za-z0-9_+@-](?:[A-Za-z0-9_.+@-]*[A-Za-z0-9_+@-])?")


class DraftState(Strict, frozen=True, kw_only=True):
    """A release whose assets were downloaded and are as built. ``uploaded`` names what this run added.

    ``ids`` are the assets that were downloaded, by name.
    """

    tag: str
    commit: str
    release_id: int
    url: str
    published: bool
    prerelease: bool
    assets: dict[str, Digest]
    ids: dict[str, int]
    uploaded: tuple[str, ...]


@dataclass
class Added:
    """What a run has added so far, also by tries that broke off later: assets by name, releases by number."""

    uploaded: dict[str, None] = field(default_factory=dict)
    published: set[int] = field(default_factory=set)


class PublishedRelease(Strict, frozen=True, kw_only=True):
    """A published release; ``made`` tells whether this run published it, ``note`` whose place it took."""

    tag: str
    release_id: int
    url: str
    immutable: bool
    made: bool
    note: str = ""


def draft(
    github: GitHub,
    *,
    tag: str,
    commit: str,
    title: str,
    notes: str,
    prerelease: bool,
    assets: Mapping[str, Path],
    added: Added | None = None,
) -> DraftState:
    """Find or make the draft of a tag, and bring its assets to exactly ``assets`` (name to file)."""
    added = added or Added()
    wanted = _digests(assets)
    _tag_names(github, tag, commit)
    release = github.find_release(tag)
    if release is None:
        release = github.create_draft(tag, commit, title, notes, prerelease=prerelease)
    elif release.burned:
        raise BurnedTagError.of(f"the draft {tag} was refused by GitHub before, for good: {release.url}", tag)
    elif release.draft:
        release = _reworded(github, release, title=title, notes=notes, prerelease=prerelease)
    elif release.prerelease != prerelease:
        raise RefusedError(
            f"the release {tag} is published with prerelease={release.prerelease}, not {prerelease}",
            means="somebody released this tag as something else",
            next_step=f"look at {release.url}",
        )
    _nothing_else(release, wanted)
    seen = {a.name: a.id for a in release.assets if a.name in wanted and _is(github, a, wanted[a.name])}
    if release.draft:
        _upload_missing(github, release, assets, seen, added)
    release = github.get_release(release.id)
    _as_built(github, release, wanted, seen)
    return DraftState(
        tag=tag,
        commit=commit,
        release_id=release.id,
        url=release.url,
        published=not release.draft,
        prerelease=prerelease,
        assets=wanted,
        ids={asset.name: asset.id for asset in release.assets},
        uploaded=tuple(added.uploaded),
    )


def look(github: GitHub, state: DraftState) -> Release:
    """Look whether GitHub still shows what was drafted: the tag, the release, and every asset.

    One that was downloaded, and of which GitHub tells the same digest, is not downloaded again.
    """
    _tag_names(github, state.tag, state.commit)
    release = github.find_release(state.tag)
    if release is None or release.id != state.release_id or release.prerelease != state.prerelease:
        raise RefusedError(
            f"the draft of {state.tag} is not the one that was checked",
            means="it was deleted, replaced or changed since",
            next_step="sealift draft",
        )
    _as_built(github, release, state.assets, state.ids)
    return release


def publish(
    github: GitHub, state: DraftState, added: Added | None = None, *, latest: bool = True
) -> PublishedRelease:
    """Publish a draft, after its tag and every asset were looked at once more.

    ``latest`` tells whether it may become the one that GitHub shows as the repository's latest.
    """
    added = added or Added()
    release, note = look(github, state), ""
    if release.draft:
        moves, note = _moves_latest(github, state) if latest else (False, "")
        added.published.add(release.id)
        github.publish(release, make_latest=moves)
        release = github.get_release(release.id)
        _as_built(github, release, state.assets, state.ids)
        if release.draft:
            raise RefusedError(f"the release {state.tag} is still a draft after it was published")
    return PublishedRelease(
        tag=state.tag,
        release_id=release.id,
        url=release.url,
        immutable=release.immutable,
        made=release.id in added.published,
        note=note,
    )


def _digests(assets: Mapping[str, Path]) -> dict[str, Digest]:
    """Hash the files, and refuse before anything is made what GitHub would refuse or rename."""
    if not assets:
        raise UsageError(
            "the release would have no assets",
            means="nobody could check what it holds",
            next_step="run the stations before draft",
        )
    wanted = {}
    for name, path in assets.items():
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UsageError(f"the asset {name} cannot be read: {path}: {error.strerror}") from error
        if not data:
            raise UsageError(f"the asset {name} is empty: {path}", means="GitHub keeps no empty file")
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot name an asset", means="GitHub would keep it under another name"
            )
        wanted[name] = Digest.of(data)
    return wanted


def _tag_names(github: GitHub, tag: str, commit: str) -> None:
    """Refuse a tag that is missing: publishing would make it, and nobody would have pushed it."""
    found = github.tag_commit(tag)
    if found == commit:
        return
    where = "is not on GitHub" if found is None else f"names {found} on GitHub"
    raise RefusedError(
        f"the tag {tag} {where}; this release was built from {commit}",
        means="a release must show the source that it was built from",
        next_step=f"push the tag for {commit}, or release the commit that it names",
    )


def _reworded(github: GitHub, release: Release, *, title: str, notes: str, prerelease: bool) -> Release:
    if (release.title, release.body, release.prerelease) == (title, notes, prerelease):
        return release
    return github.update(release, title=title, body=notes, prerelease=prerelease)


def _nothing_else(release: Release, wanted: Mapping[str, Digest]) -> None:
    if foreign := sorted({a.name for a in release.assets} - set(wanted)):
        raise RefusedError(
            f"the release {release.tag} has assets that were not built here: {', '.join(foreign)}",
            means="what is published must be what was proven",
            next_step=f"find out who added them, then delete them: {release.url}",
        )


def _upload_missing(
    github: GitHub, release: Release, assets: Mapping[str, Path], seen: Mapping[str, int], added: Added
) -> None:
    """Upload what is not there as built; ``seen`` are the ids of the assets that are."""
    for wrong in release.assets:
        if wrong.name not in seen:
            github.delete_asset(wrong)
    for name in assets:
        if name not in seen:
            # Before it is answered: a try that hears nothing may have been heard.
            added.uploaded[name] = None
            github.upload(release, assets[name], name)


def _as_built(
    github: GitHub, release: Release, wanted: Mapping[str, Digest], seen: Mapping[str, int]
) -> None:
    """Refuse a release whose assets are not as built; ``seen`` are the ids that were downloaded before."""
    _nothing_else(release, wanted)
    known = {a.name: a for a in release.assets}
    wrong = [
        name
        for name, digest in wanted.items()
        if (asset := known.get(name)) is None
        or not (_still(asset, seen.get(name), digest) or _is(github, asset, digest))
    ]
    if wrong:
        kind = "draft" if release.draft else "published release"
        raise RefusedError(
            f"the {kind} {release.tag} lacks, or has with other bytes: {', '.join(sorted(wrong))}",
            means="people would not get what was built",
            next_step="sealift draft" if release.draft else f"release a new version; look at {release.url}",
        )


def _still(asset: Asset, seen: int | None, digest: Digest) -> bool:
    return asset.uploaded and asset.id == seen and asset.digest == str(digest)


def _is(github: GitHub, asset: Asset, digest: Digest) -> bool:
    return asset.uploaded and Digest.of(github.download(asset)) == digest


def _moves_latest(github: GitHub, state: DraftState) -> tuple[bool, str]:
    """Move GitHub's own ``latest`` only forward: a backport must not become it.

    Returns also what is to be said where it was another component's.
    """
    if state.prerelease:
        return False, ""
    latest = github.latest_tag()
    try:
        return latest is None or not Version.parse(state.tag) < Version.of_tag(latest), ""
    except UsageError:
        # A release that was not made here has a name of its own; it is not newer than a version.
        return True, (
            f"GitHub's latest release was {latest}, which is no version, and is {state.tag} now; "
            "github_latest: false in ci/release.yaml leaves it to the components that share the repository"
        )
