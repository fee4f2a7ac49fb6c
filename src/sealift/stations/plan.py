"""Plan: what this release is made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sealift import console
from sealift.errors import UsageError
from sealift.model import config as configuration
from sealift.model.exceptions import concerning
from sealift.model.names import Version
from sealift.model.plan import Plan
from sealift.model.policy import Changes, weaker
from sealift.stations import policy
from sealift.stations.policy import CONFIG
from sealift.tools import git

FIRST = Version.parse("0.1.0")
TAGS = "refs/tags/"
ONLY_TAGS = "production releases what a tag names, nothing else"


def choose_version(asked: str | None, on_head: tuple[Version, ...], before: tuple[Version, ...]) -> Version:
    """Choose what is asked for, else the tag on HEAD, else the patch after the last tag, else v0.1.0."""
    if asked is not None:
        return Version.parse(asked)
    if on_head:
        return on_head[-1]
    return before[-1].next_patch() if before else FIRST


def plan(
    root: Path,
    *,
    version: str | None = None,
    dirty: bool = False,
    tagged: bool = False,
    ref: str | None = None,
) -> Plan:
    """Compute the plan of a checkout.

    ``dirty`` takes the working tree instead of HEAD; ``tagged`` demands that a tag on HEAD names the
    version, as production does. ``ref`` is the ref that started this run, where a workflow did.
    """
    commit, tags = git.head(root), git.tags(root)
    choose = _released if tagged else _rehearsed
    chosen = choose(root, commit, tags, version, ref)
    named = tags.get(chosen.git_tag)
    if named not in (None, commit):
        raise UsageError(
            f"the tag {chosen.git_tag} names {named}, and this is {commit}",
            means="a version is one commit for ever",
            next_step=f"git checkout {TAGS}{chosen.git_tag}, or plan another version",
        )
    changed = git.changed(root)
    if dirty:
        _refuse_repositories(root, changed)
    if CONFIG in changed and not dirty:
        # It is read for its mistakes: what is not committed is left out, here too.
        configuration.parse(git.working_file(root, CONFIG), root / CONFIG)
    files = policy.read(root, None if dirty else commit)
    config = files.config
    shown = tuple(map(git.printable, changed))
    if tagged and (changed or dirty):
        raise UsageError(f"the tree has changes: {', '.join(shown)}", next_step="git status")
    return Plan(
        version=chosen,
        commit=commit,
        time=git.commit_time(root, commit),
        modified=dirty and bool(changed),
        left_out=() if dirty else shown,
        config=config,
        moving_tags=config.moved_by(chosen),
        waivers=concerning(files.waivers, config.suite),
        bases=files.lock.get(config.suite, {}),
        weaker=weaker(config, files.waivers, files.lock),
        policy=_changes(root, commit, tags, chosen, files),
    )


def _changes(root: Path, commit: str, tags: dict[str, str], version: Version, files: policy.Files) -> Changes:
    """Compare with the last release that this commit was made from."""
    before = _versions(tag for tag in git.merged_tags(root, commit) if tags.get(tag) != commit)
    last = policy.last_release(version, (v for v in before if v != version))
    missing, fetch = _unknown(root, tags)
    if last is None and fetch:
        return policy.unknown(f"{missing[2:]}; {fetch} fetches them, if there are any")
    return policy.changes(root, files, last, None if last is None else tags[last.git_tag])


def at_tag(root: Path, version: Version, commit: str) -> Plan:
    """Plan what a tag of another commit than the one that is checked out released."""
    config = configuration.parse(git.file_of(root, commit, CONFIG), root / CONFIG)
    return Plan(
        version=version,
        commit=commit,
        time=git.commit_time(root, commit),
        modified=False,
        left_out=(),
        config=config,
        moving_tags=config.moved_by(version),
    )


def _released(root: Path, commit: str, tags: dict[str, str], asked: str | None, ref: str | None) -> Version:
    """Return the version of the tag that started this run; without a workflow, the one that is asked for."""
    if ref is not None and not ref.startswith(TAGS):
        raise UsageError(
            f"this run was started by {ref}, which is not a tag",
            means=ONLY_TAGS,
            next_step="push a tag such as v1.2.3; to try this commit, rehearse: sealift release",
        )
    if ref is not None:
        chosen = Version.of_tag(ref.removeprefix(TAGS))
        if asked is not None and Version.parse(asked) != chosen:
            raise UsageError(
                f"--version={asked} is not the version of the tag {chosen.git_tag}, which started this run",
                means=ONLY_TAGS,
                next_step="leave --version out, or push the tag of the other version",
            )
    else:
        chosen = Version.parse(asked) if asked is not None else _only_version(root, commit, tags)
    if chosen.git_tag not in tags:
        unknown, fetch = _unknown(root, tags)
        missing = f"git fetch origin tag {chosen.git_tag}" if ref is not None else _begin(chosen, fetch)
        raise UsageError(
            f"no tag {chosen.git_tag} is on {commit[:12]}", means=ONLY_TAGS + unknown, next_step=missing
        )
    return chosen


def _only_version(root: Path, commit: str, tags: dict[str, str]) -> Version:
    """Return the one version that is on HEAD; where there is none, tell what is there instead."""
    here = sorted(tag for tag, named in tags.items() if named == commit)
    found = _versions(here)
    if len(found) > 1:
        raise UsageError(
            f"{commit[:12]} has the tags {_listed(found)}, and no workflow run names the one to release",
            means="a release is of one version",
            next_step=f"name it: --version={found[-1]}",
        )
    if found:
        return found[0]
    if nearly := [why for tag in here if (why := _why_no_version(tag))]:
        raise UsageError(
            f"no version's tag is on {commit[:12]}: {'; '.join(nearly)}",
            means=ONLY_TAGS,
            next_step="tag this commit with a version such as v1.2.3",
        )
    unknown, fetch = _unknown(root, tags)
    following = choose_version(None, (), _versions(git.merged_tags(root, commit)))
    raise UsageError(
        f"no version's tag is on {commit[:12]}",
        means=ONLY_TAGS + unknown,
        next_step=_begin(following, fetch),
    )


def _rehearsed(root: Path, commit: str, tags: dict[str, str], asked: str | None, ref: str | None) -> Version:
    """Return what is asked for, else what a tag on HEAD names, else what comes next."""
    if asked is not None:
        return Version.parse(asked)
    found = _versions(tag for tag, named in tags.items() if named == commit)
    for version in found:
        if ref == TAGS + version.git_tag:
            return version
    if len(found) > 1:
        console.say(
            f"{commit[:12]} has the tags {_listed(found)}: taking {found[-1]}; --version names another"
        )
    if not found and git.is_shallow(root):
        raise UsageError(
            f"{root} is a shallow clone: which version comes next cannot be told",
            means="tags of older commits are not here",
            next_step="git fetch --unshallow --tags, or name the version: --version=1.2.3",
        )
    if not tags and git.has_remote(root):
        console.say(
            f"this clone has no tags, so {FIRST} is a guess; git fetch --tags fetches those of its remote"
        )
    here = sorted(tag for tag, named in tags.items() if named == commit and not found)
    for why in filter(None, map(_why_no_version, here)):
        console.say(f"{why}; ignored")
    return choose_version(None, found, () if found else _versions(git.merged_tags(root, commit)))


def _versions(tags: Iterable[str]) -> tuple[Version, ...]:
    """Return the versions that tags name, ascending; other tags are not ours."""
    return tuple(sorted(Version.of_tag(tag) for tag in tags if not _why_no_version(tag)))


def _why_no_version(tag: str) -> str:
    try:
        Version.of_tag(tag)
    except UsageError as error:
        return error.happened
    return ""


def _listed(versions: tuple[Version, ...]) -> str:
    return " and ".join(version.git_tag for version in versions)


def _unknown(root: Path, tags: dict[str, str]) -> tuple[str, str]:
    """Tell what this clone may lack, and the command that fetches it: what is not here may still be."""
    if git.is_shallow(root):
        return "; this clone is shallow, and may lack tags", "git fetch --unshallow --tags"
    if not tags and git.has_remote(root):
        return "; this clone has no tag at all", "git fetch --tags"
    return "", ""


def _begin(version: Version, fetch: str) -> str:
    """Write the command that begins a version; first, what tells whether it was begun already."""
    if "--unshallow" in fetch:
        return fetch
    begin = f"git tag {version.git_tag} && git push origin tag {version.git_tag}"
    return f"{fetch}; if it brings none: {begin}" if fetch else begin


def _refuse_repositories(root: Path, changed: Iterable[str]) -> None:
    """Refuse a working tree whose changes lie in another repository: this one's git does not know them."""
    for name in changed:
        if (root / name).is_dir() and not (root / name).is_symlink():
            raise UsageError(
                f"{git.printable(name)} is a repository of its own, with changes that --dirty cannot take",
                means="git tells of its files only inside it",
                next_step="commit them there and here, or move it away; or leave --dirty out",
            )
