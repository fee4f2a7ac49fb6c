"""Promote: what cannot be taken back. Version tags once, moving tags only forward."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sealift.errors import OutsideError, UsageError
from sealift.model.evidence import Promoted
from sealift.model.names import Digest, Repository, Tag, Version
from sealift.model.plan import Plan
from sealift.model.statements import Subject
from sealift.stations.draft import PublishedRelease
from sealift.stations.gate import Looks
from sealift.stations.image import OUR_LABELS, VERSION_LABEL, image_labels, labels
from sealift.stations.readback import CONTRADICTS, check_lists, check_tags
from sealift.stations.verify import Verified
from sealift.tools.registry import ImmutableTagError, Registry


@dataclass(frozen=True, kw_only=True)
class Move:
    """One tag to put: ``before`` is what it names now."""

    repository: Repository
    tag: Tag
    digest: Digest
    before: Digest | None


def promote(
    plan: Plan,
    verified: Verified,
    images: Mapping[str, tuple[Repository, Digest]],
    *,
    registry: Registry,
    ready: Callable[[Looks], None],
    publish: Callable[[], PublishedRelease],
    done: dict[str, None],
) -> Promoted:
    """Move the tags of a verified release, and publish its page between version tags and moving tags.

    ``ready`` looks whether the page can be published, which ``publish`` does; the tags that this run puts are
    added to ``done``. What is written is read back before the next step makes more of it.
    """
    once, moving, looks = promote_tags(plan, verified, images, registry)
    check_lists(looks, verified.subjects, registry)
    looks.done(means=CONTRADICTS, next_step="sealift verify")
    # A version's tag is never taken back: what would stop the release is looked for before it.
    ready(looks)
    put(once, registry, looks, done)
    check_tags(looks, tags_of(once), registry)
    looks.done(means=CONTRADICTS, next_step="sealift status")
    release = publish()
    put(moving, registry, looks, done)
    check_at_end(plan, (*once, *moving), registry, looks)
    return promoted(looks, (*once, *moving), done, release)


def newest_with(prefix: Tag, tags: Iterable[Tag]) -> Version | None:
    """Return the greatest version that a moving tag stands for; ``latest`` stands for all."""
    found = (version for tag in tags if (version := Version.of_image_tag(tag)) and not version.prerelease)
    return max((version for version in found if prefix in version.moving_tags), default=None)


def newest_released(
    plan: Plan, repository: Repository, prefix: Tag, tags: tuple[Tag, ...], registry: Registry
) -> tuple[Version | None, tuple[Version, ...]]:
    """Return the greatest version that this pipeline released under a moving tag, and the foreign ones above.

    Only what would hold the plan's version back is looked into.
    """
    left, foreign = set(tags), list[Version]()
    while (newest := newest_with(prefix, left)) is not None:
        if newest <= plan.version or _is_ours(plan, newest, repository, prefix, registry):
            break
        left.discard(newest.version_tag)
        foreign.append(newest)
    return newest, tuple(foreign)


def _is_ours(plan: Plan, version: Version, repository: Repository, moving: Tag, registry: Registry) -> bool:
    """Tell whether the image under a version's tag is what this pipeline released as that version.

    Its labels tell, which each released image has, and which a copy under another tag does not change. Where
    they do not name us (the repository was renamed since), it counts when the moving tag names it already.
    What cannot be told counts: a tag that stays is put right more easily than one that went back.
    """
    digest = registry.head(repository.tagged(version.version_tag))
    if digest is None or (found := image_labels(repository, digest, registry)) is None:
        return True
    if found.get(VERSION_LABEL, str(version)) != str(version):
        return False
    same = all(found.get(key) == value for key, value in labels(plan).items() if key in OUR_LABELS)
    return same or registry.head(repository.tagged(moving)) == digest


def decide(
    plan: Plan, repository: Repository, digest: Digest, registry: Registry, looks: Looks
) -> tuple[Move, ...]:
    """Look at every tag of one variant and decide which are put; what must not move is refused."""
    version_tag, tags = plan.version.version_tag, registry.tags(repository)
    named = digest_under(repository, version_tag, tags, registry)
    if named is not None and named != digest:
        looks.refused(f"{repository.tagged(version_tag)} already names {named}, not {digest}")
        return ()
    moves = [Move(repository=repository, tag=version_tag, digest=digest, before=named)]
    for tag in plan.moving_tags:
        newest, foreign = newest_released(plan, repository, tag, tags, registry)
        for other in foreign:
            looks.passed(f"{repository.tagged(other.version_tag)} was not released here; {tag} may move")
        if newest is not None and plan.version < newest:
            looks.passed(f"{repository.tagged(tag)} stays at {newest}: {plan.version} is older")
            continue
        before = digest_under(repository, tag, tags, registry)
        if before is not None and (shown := _version_of(repository, before, registry)) is not None:
            # A list that lacks the version that the tag names now would let the tag move back.
            digest_under(repository, shown.version_tag, tags, registry)
        moves.append(Move(repository=repository, tag=tag, digest=digest, before=before))
    return tuple(moves)


def _version_of(repository: Repository, digest: Digest, registry: Registry) -> Version | None:
    """Read which version an image says that it is."""
    found = (image_labels(repository, digest, registry) or {}).get(VERSION_LABEL, "")
    try:
        return Version.parse(found)
    except UsageError:
        return None


def digest_under(
    repository: Repository, tag: Tag, tags: tuple[Tag, ...], registry: Registry
) -> Digest | None:
    """Ask what a tag names; where the list of tags lacks one that is there, the list is no answer."""
    digest = registry.head(repository.tagged(tag))
    if digest is not None and tag not in tags:
        raise OutsideError(
            f"the tags that {repository} lists lack {tag}, which names {digest}",
            means="which version is the newest cannot be told from such a list",
            next_step="run again",
        )
    return digest


def promote_tags(
    plan: Plan, verified: Verified, images: Mapping[str, tuple[Repository, Digest]], registry: Registry
) -> tuple[tuple[Move, ...], tuple[Move, ...], Looks]:
    """Decide for every variant before the first tag is put.

    Returns the version tags' moves and the moving tags' moves; the release is published between them.
    Raises GateRefusedError when a tag must not move, before any has.
    """
    looks = Looks("promote", str(plan.version))
    moves: list[Move] = []
    for variant, (repository, digest) in images.items():
        looks.true(
            verified.covers(Subject(repository=repository, digest=digest)),
            f"{variant} was verified as a stranger would: {digest}",
            f"{variant}: {digest} was not verified",
        )
        moves += decide(plan, repository, digest, registry, looks)
    looks.done(
        means="a version is what it was when it was first released, and nothing goes back",
        next_step="release another version",
    )
    once = tuple(m for m in moves if m.tag == plan.version.version_tag)
    moving = tuple(m for m in moves if m.tag != plan.version.version_tag)
    _check_movable(moving, registry, looks)
    return once, moving, looks


def _check_movable(moving: tuple[Move, ...], registry: Registry, looks: Looks) -> None:
    """Refuse, while nothing of the release can be seen, what would leave it without its moving tags."""
    refused: ImmutableTagError | None = None
    for move in moving:
        if move.before in (None, move.digest):
            continue
        try:
            registry.check_movable(move.repository, move.tag, move.before)
        except ImmutableTagError as error:
            refused = error
            looks.refused(error.happened)
    if refused is not None:
        looks.done(means=f"nothing was published: {refused.means}", next_step=refused.next_step)


def put(moves: tuple[Move, ...], registry: Registry, looks: Looks, done: dict[str, None]) -> None:
    """Look, put, look again; the tags that did not name it before are added to ``done``.

    Raises GateRefusedError at the first that does not name what it should, before another is put.
    """
    for move in moves:
        reference = move.repository.tagged(move.tag)
        now = registry.head(reference)
        if now != move.before:
            looks.refused(f"{reference} was moved by somebody else: {move.before} -> {now}")
            looks.done(means="two releases run at once", next_step="sealift status")
        if now != move.digest:
            # Before it is answered: a try that hears nothing may have been heard.
            done[str(reference)] = None
            try:
                registry.put_tag(move.repository, move.tag, move.digest)
            except ImmutableTagError as error:
                del done[str(reference)]
                looks.refused(error.happened)
                looks.done(means=error.means, next_step=error.next_step)
        looks.equal(reference, expected=move.digest, got=registry.head(reference))
        looks.done(means="a tag does not name what was released", next_step="sealift status")


def tags_of(moves: Iterable[Move]) -> dict[Repository, dict[str, Digest]]:
    """Gather which digest each tag must name, by repository."""
    tags: dict[Repository, dict[str, Digest]] = {}
    for move in moves:
        tags.setdefault(move.repository, {})[move.tag] = move.digest
    return tags


def check_at_end(plan: Plan, moves: Sequence[Move], registry: Registry, looks: Looks) -> None:
    """Look at all tags once more after the last one was put: another promote may have run beside this one.

    Between the look at a tag and its put another writer can come, and no registry has a put with a condition.
    Two promotes that cross in that moment each see their own tag right after; one of them, whichever ends
    last, sees here that it was undone, or that it has moved a tag back.
    """
    right, listed = list[Move](), dict[Repository, tuple[Tag, ...]]()
    for move in moves:
        reference, tags = move.repository.tagged(move.tag), listed.get(move.repository)
        if tags is None:
            tags = listed[move.repository] = registry.tags(move.repository)
        named = digest_under(move.repository, move.tag, tags, registry)
        newest = None
        if move.tag != plan.version.version_tag:
            newest, _ = newest_released(plan, move.repository, move.tag, tags, registry)
        if newest is None or newest <= plan.version:
            if named != move.digest:
                looks.refused(f"{reference} names {named} at the end, not {move.digest}, which was put there")
            else:
                right.append(move)
        elif named == registry.head(move.repository.tagged(newest.version_tag)):
            looks.passed(f"{reference} went on to {newest}, which was released meanwhile")
        else:
            looks.refused(f"{reference} names {named} at the end, and {newest} was released meanwhile")
    looks.done(
        means="another promote ran at the same time, and a tag was overwritten or moved back",
        next_step="sealift status",
    )
    check_tags(looks, tags_of(right), registry)
    looks.done(means=CONTRADICTS, next_step="sealift status")


def promoted(
    looks: Looks, moves: tuple[Move, ...], put: Iterable[str], release: PublishedRelease
) -> Promoted:
    """Gather what the tags name now, and what this run has done for that."""
    tags: dict[str, tuple[Tag, ...]] = {}
    for move in moves:
        tags[move.repository] = (*tags.get(move.repository, ()), move.tag)
    if not release.public:
        looks.passed(f"{release.url}: its files were compared with the login: it cannot be read without one")
    if release.note:
        looks.passed(release.note)
    gates = looks.done(means="a tag does not name what was released", next_step="sealift status")
    return Promoted(gates=gates, tags=tags, release_url=release.url, put=tuple(put), published=release.made)
