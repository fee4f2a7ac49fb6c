"""What the registry holds of one variant: the version tag, the index, its platforms, the moving tags."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from sealift.errors import RefusedError, UsageError
from sealift.model.names import Digest, Platform, Repository, Tag, Version
from sealift.model.plan import Plan
from sealift.model.statements import Subject
from sealift.model.status import AN_IMAGE, NO_PLATFORM, Finding, compared
from sealift.oci import documents
from sealift.stations.promote import digest_under, newest_released
from sealift.stations.push import missing
from sealift.stations.status_release import answer
from sealift.tools.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Image:
    """One variant as the registry holds it; ``lost`` are the platforms that only the index knows of."""

    findings: tuple[Finding, ...]
    index: Subject | None = None
    platforms: Mapping[Platform, Subject] = field(default_factory=dict)
    lost: frozenset[Subject] = frozenset()


def look_image(
    plan: Plan, repository: Repository, registry: Registry, *, pushed: Digest | None, noted: Digest | None
) -> Image:
    """Look at one variant by its version tag; without one, by what was pushed or is on the release's page.

    ``pushed`` is what this checkout's own run pushed to this repository, where there was one.
    """
    reference = repository.tagged(plan.version.version_tag)
    expected = pushed or noted
    named, failed = answer("version tag", reference, expected or "an image", lambda: registry.head(reference))
    tag = failed or (_version_tag(reference, expected, named),)
    moving = tuple(_moving(plan, repository, registry))
    digest = named or expected
    if digest is None:
        return Image(findings=(*tag, *moving))
    image = _look_index(Subject(repository=repository, digest=digest), plan, registry)
    if named is not None and image.findings[0].verdict == "agrees":
        tag += _shown(reference, named, plan.version.version_tag, repository, registry)
    return replace(image, findings=(*tag, *image.findings, *moving))


def _shown(
    reference: str, named: Digest, tag: Tag, repository: Repository, registry: Registry
) -> tuple[Finding, ...]:
    """Read the version's tag as other clients do; only what contradicts it is a finding."""
    ask = functools.partial(registry.readback, repository, {tag: named}, blobs=False)
    shown, failed = answer("version tag", reference, named, ask)
    if shown is None or not shown.problems:
        return failed
    got = "; ".join(shown.problems)
    return (Finding(what="version tag", subject=reference, verdict="differs", expected=str(named), got=got),)


def _version_tag(reference: str, expected: Digest | None, named: Digest | None) -> Finding:
    if named is None and expected is not None:
        got = "nothing: the tag is withheld"
        return Finding(what="version tag", subject=reference, verdict="missing", expected=expected, got=got)
    return compared("version tag", reference, expected=expected or named or "an image", got=named)


def _look_index(index: Subject, plan: Plan, registry: Registry) -> Image:
    held, failed = answer("index", str(index), index.digest, lambda: _held(index, registry))
    if failed or held is None:
        return Image(findings=failed or (compared("index", str(index), expected=index.digest, got=None),))
    finding = compared("index", str(index), expected=index.digest, got=Digest.of(held))
    children = _children(held)
    platforms = {
        platform: Subject(repository=index.repository, digest=children[platform])
        for platform in plan.config.platforms
        if platform in children
    }
    looked = {platform: _look_platform(s, platform, registry) for platform, s in platforms.items()}
    return Image(
        findings=(finding, *looked.values(), *_look_list(index, plan, children)),
        index=index,
        platforms=platforms,
        lost=frozenset(platforms[p] for p, found in looked.items() if found.verdict != "agrees"),
    )


def _look_list(index: Subject, plan: Plan, children: Mapping[str, Digest]) -> Iterator[Finding]:
    """Look whether an index names every platform, and no other."""
    for platform in plan.config.platforms:
        if platform not in children:
            yield compared("platform", f"{index} {platform}", expected=AN_IMAGE, got=None)
    for other in sorted(set(children) - set(plan.config.platforms)):
        yield compared("platform", f"{index} {other}", expected=NO_PLATFORM, got=children[other])


def _look_platform(subject: Subject, platform: Platform, registry: Registry) -> Finding:
    """Hash one platform's manifest again, and ask for everything that it names."""
    name = f"{subject} {platform}"
    held, failed = answer("platform", name, subject.digest, lambda: _held(subject, registry))
    if failed or held is None:
        return failed[0] if failed else compared("platform", name, expected=subject.digest, got=None)
    ask = functools.partial(missing, subject.repository, subject.digest, registry)
    gone, failed = answer("platform", name, subject.digest, ask)
    if gone:
        got = f"the manifest without {', '.join(gone)}"
        return Finding(what="platform", subject=name, verdict="missing", expected=subject.digest, got=got)
    return failed[0] if failed else compared("platform", name, expected=subject.digest, got=Digest.of(held))


def _held(subject: Subject, registry: Registry) -> bytes | None:
    """Return a manifest's bytes, hashed; None where the registry says that it has none."""
    return registry.manifest(str(subject)) if registry.head(str(subject)) else None


def _children(index: bytes) -> dict[str, Digest]:
    """Read which manifest an index names for each platform; what is no index names none."""
    try:
        found = documents.children(index, "the index")
        named = [(c["platform"], Digest(c["digest"])) for c in found if c.get("platform")]
        return {str(Platform.of_oci(platform)): digest for platform, digest in named}
    except (RefusedError, AttributeError, KeyError, TypeError, UsageError):
        return {}


def _moving(plan: Plan, repository: Repository, registry: Registry) -> Iterator[Finding]:
    """Look which version each moving tag names: the greatest that was released and that it stands for."""
    if not plan.moving_tags:
        return
    tags, failed = answer("moving tag", repository, plan.version, lambda: registry.tags(repository))
    if tags is None:
        yield from failed
        return
    for tag in plan.moving_tags:
        reference = repository.tagged(tag)
        ask_newest = functools.partial(newest_released, plan, repository, tag, tags, registry)
        found, failed = answer("moving tag", reference, plan.version, ask_newest)
        if found is None:
            yield from failed
            continue
        expected = found[0] or plan.version
        ask = functools.partial(_named_by, tag, expected, repository, registry, tags)
        got, failed = answer("moving tag", reference, expected, ask)
        yield from failed or (compared("moving tag", reference, expected=str(expected), got=got),)


def _named_by(
    tag: Tag, expected: Version, repository: Repository, registry: Registry, tags: tuple[Tag, ...]
) -> str | None:
    """Name the version whose image a moving tag names, first the one that it should; else the image."""
    digest = digest_under(repository, tag, tags, registry)
    if digest is None:
        return None
    likely = sorted(_versions(tags), key=lambda v: (v == expected, tag in v.moving_tags, v), reverse=True)
    for version in likely:
        if registry.head(repository.tagged(version.version_tag)) == digest:
            return str(version)
    return f"{digest}, which is no version's"


def _versions(tags: tuple[Tag, ...]) -> Iterator[Version]:
    yield from filter(None, map(Version.of_image_tag, tags))
