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
from sealift.stations.release_check import (
    Wanted,
    check,
    check_downloads,
    check_files,
    check_nothing_else,
    problem,
)
from sealift.stations.together import together
from sealift.tools.github import GitHub, Release
from sealift.tools.github_errors import BurnedTagError

# GitHub renames a file with any other character, or with a dot at an end.
_NAME = re.compile(r"[A-Za-z0-9_+@-](?:[A-Za-z0-9_.+@-]*[A-Za-z0-9_+@-])?")


class DraftState(Wanted, frozen=True, kw_only=True):
    """A release whose assets were downloaded and are as built. ``uploaded`` names what this run added."""

    release_id: int
    url: str
    published: bool
    uploaded: tuple[str, ...]


@dataclass
class Added:
    """What a run has added so far, also by tries that broke off later: assets by name, releases by number."""

    uploaded: dict[str, None] = field(default_factory=dict)
    published: set[int] = field(default_factory=set)


class PublishedRelease(Strict, frozen=True, kw_only=True):
    """A published release; ``made`` tells whether this run published it, ``note`` whose place it took.

    ``public`` tells whether its files were downloaded without a login.
    """

    tag: str
    release_id: int
    url: str
    immutable: bool
    made: bool
    public: bool = True
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
    wanted = Wanted(
        tag=tag,
        commit=commit,
        title=title,
        notes=notes,
        prerelease=prerelease,
        assets=_digests(assets),
    )
    _tag_names(github, tag, commit)
    release = github.find_release(tag)
    if release is None:
        release = github.create_draft(tag, commit, title, notes, prerelease=prerelease)
    elif release.burned:
        raise BurnedTagError.of(f"the draft {tag} was refused by GitHub before, for good: {release.url}", tag)
    elif release.draft:
        release = _reworded(github, release, wanted)
    elif release.prerelease != prerelease:
        raise RefusedError(
            f"the release {tag} is published with prerelease={release.prerelease}, not {prerelease}",
            means="somebody released this tag as something else",
            next_step=f"look at {release.url}",
        )
    check_nothing_else(release, wanted.assets)
    if release.draft:
        _upload_missing(github, release, assets, wanted.assets, added)
        release = github.get_release(release.id)
    check(release, wanted)
    check_files(github, release, wanted.assets)
    return DraftState(
        **{name: getattr(wanted, name) for name in Wanted.__struct_fields__},
        release_id=release.id,
        url=release.url,
        published=not release.draft,
        uploaded=tuple(added.uploaded),
    )


def look(github: GitHub, state: DraftState, *, read: bool = True) -> Release:
    """Look whether GitHub still shows what was drafted: the tag, the release, its words, and every asset.

    With ``read`` every asset is downloaded, else only what GitHub tells of them is compared.
    """
    _tag_names(github, state.tag, state.commit)
    release = github.find_release(state.tag)
    if release is None or release.id != state.release_id:
        raise RefusedError(
            f"the draft of {state.tag} is not the one that was checked",
            means="it was deleted or replaced since",
            next_step="sealift draft",
        )
    check(release, state)
    check_files(github if read else None, release, state.assets)
    return release


def publish(
    github: GitHub, state: DraftState, added: Added | None = None, *, latest: bool = True
) -> PublishedRelease:
    """Publish a draft, after its tag and every asset were looked at once more.

    ``latest`` tells whether it may become the one that GitHub shows as the repository's latest.
    """
    added = added or Added()
    # The bytes were read before the first tag moved, and are read again as soon as people can see them.
    release, note = look(github, state, read=False), ""
    if release.draft:
        moves, note = _moves_latest(github, state) if latest else (False, "")
        added.published.add(release.id)
        github.publish(release, make_latest=moves)
        release = github.get_release(release.id)
        if release.draft:
            raise RefusedError(f"the release {state.tag} is still a draft after it was published")
        # Publishing may have made a tag, and what people get comes from elsewhere than what a login gets.
        _tag_names(github, state.tag, state.commit)
        check(release, state)
    public = check_downloads(github, release, state.assets)
    if not public:
        check_files(github, release, state.assets)
    return PublishedRelease(
        tag=state.tag,
        release_id=release.id,
        url=release.url,
        immutable=release.immutable,
        made=release.id in added.published,
        public=public,
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


def _reworded(github: GitHub, release: Release, wanted: Wanted) -> Release:
    if (release.title, release.body, release.prerelease, release.target) == (
        wanted.title,
        wanted.notes,
        wanted.prerelease,
        wanted.commit,
    ):
        return release
    return github.update(
        release,
        title=wanted.title,
        body=wanted.notes,
        prerelease=wanted.prerelease,
        target=wanted.commit,
    )


def _upload_missing(
    github: GitHub, release: Release, files: Mapping[str, Path], wanted: Mapping[str, Digest], added: Added
) -> None:
    """Upload what is not there as built; what is there and wrong is deleted before."""
    problems = together(lambda asset: problem(github, asset, wanted[asset.name]), release.assets)
    wrong = [asset for asset, words in zip(release.assets, problems, strict=True) if words]
    for asset in wrong:
        github.delete_asset(asset)
    there = {asset.name for asset in release.assets if asset not in wrong}
    for name in files:
        if name not in there:
            # Before it is answered: a try that hears nothing may have been heard.
            added.uploaded[name] = None
            github.upload(release, files[name], name)


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
