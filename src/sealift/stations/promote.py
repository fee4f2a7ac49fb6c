"""Promote: what cannot be taken back. Version tags once, moving tags only forward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sealift.errors import OutsideError
from sealift.model.evidence import Promoted
from sealift.model.names import Digest, Repository, Tag, Version
from sealift.model.plan import Plan
from sealift.model.statements import Subject
from sealift.stations.draft import PublishedRelease
from sealift.stations.gate import Looks
from sealift.stations.image import OUR_LABELS, VERSION_LABEL, image_labels, labels
from sealift.stations.verify import Verified
from sealift.tools.registry import ImmutableTagError, Registry


@dataclass(frozen=True, kw_only=True)
class Move:
    """One tag to put: ``before`` is what it names now."""

    repository: Repository
    tag: Tag
    digest: Digest
    before: Digest | None


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
        moves.append(Move(repository=repository, tag=tag, digest=digest, before=before))
    return tuple(moves)


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


def promoted(
    looks: Looks, moves: tuple[Move, ...], put: Iterable[str], release: PublishedRelease
) -> Promoted:
    """Gather what the tags name now, and what this run has done for that."""
    tags: dict[str, tuple[Tag, ...]] = {}
    for move in moves:
        tags[move.repository] = (*tags.get(move.repository, ()), move.tag)
    if release.note:
        looks.passed(release.note)
    gates = looks.done(means="a tag does not name what was released", next_step="sealift status")
    return Promoted(gates=gates, tags=tags, release_url=release.url, put=tuple(put), published=release.made)
