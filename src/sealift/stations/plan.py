"""Plan: what this release is made of."""

from __future__ import annotations

from pathlib import Path

from sealift.errors import UsageError
from sealift.model import config as configuration
from sealift.model.names import Version
from sealift.model.plan import Plan
from sealift.tools import git

CONFIG = "ci/release.yaml"
FIRST = Version.parse("0.1.0")


def choose_version(asked: str | None, on_head: tuple[Version, ...], before: tuple[Version, ...]) -> Version:
    """Choose what is asked for, else the tag on HEAD, else the patch after the last tag, else v0.1.0."""
    if asked is not None:
        return Version.parse(asked)
    if on_head:
        return on_head[-1]
    return before[-1].next_patch() if before else FIRST


def plan(root: Path, *, version: str | None = None, dirty: bool = False, tagged: bool = False) -> Plan:
    """Compute the plan of a checkout.

    ``dirty`` takes the working tree instead of HEAD; ``tagged`` demands that a tag on HEAD names the
    version, as production does.
    """
    commit = git.head(root)
    config = configuration.load(root / CONFIG)
    on_head = git.versions(root, on_head=True)
    chosen = choose_version(version, on_head, git.versions(root, on_head=False))
    if tagged and chosen not in on_head:
        raise UsageError(
            f"no tag {chosen.git_tag} is on {commit[:12]}",
            means="production releases what a tag names, nothing else",
            next_step=f"git tag {chosen.git_tag} && git push origin {chosen.git_tag}",
        )
    named = git.tag_commit(root, chosen.git_tag)
    if named not in (None, commit):
        raise UsageError(
            f"the tag {chosen.git_tag} names {named}, and this is {commit}",
            means="a version is one commit for ever",
            next_step=f"git checkout {chosen.git_tag}, or plan another version",
        )
    changed = git.changed(root)
    if CONFIG in changed and not dirty:
        # It was read for its mistakes; what is not committed is left out, here too.
        config = configuration.parse(git.file_of(root, commit, CONFIG), root / CONFIG)
    if tagged and (changed or dirty):
        raise UsageError(f"the tree has changes: {', '.join(changed)}", next_step="git status")
    return Plan(
        version=chosen,
        commit=commit,
        time=git.commit_time(root, commit),
        modified=dirty and bool(changed),
        left_out=() if dirty else changed,
        config=config,
        moving_tags=chosen.moving_tags,
    )


def at_tag(root: Path, version: Version, commit: str) -> Plan:
    """Plan what a tag of another commit than the one that is checked out released."""
    return Plan(
        version=version,
        commit=commit,
        time=git.commit_time(root, commit),
        modified=False,
        left_out=(),
        config=configuration.parse(git.file_of(root, commit, CONFIG), root / CONFIG),
        moving_tags=version.moving_tags,
    )
