"""``ci/release.yaml``, read once, at the door."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from sealift.model.names import Platform, Repository, Tag, Version
from sealift.model.settings import (
    GITHUB,
    GitHubHost,
    GlibcVersion,
    GoPackage,
    IssuerUrl,
    Line,
    LinkerSymbol,
    RegistryName,
    RelativePath,
    RepositoryPath,
    ServiceName,
    Source,
    Suite,
    UserIds,
    VariantName,
    WorkflowRef,
)
from sealift.model.yamlfile import load_yaml, parse_yaml
from sealift.model.yamlproblems import Problem

Linkage = Literal["static", "dynamic"]
MovingTag = Literal["minor", "major", "latest"]
# In the order of Version.moving_tags.
MOVING_TAGS: tuple[MovingTag, ...] = ("minor", "major", "latest")
# A day: a limit that is no limit is a mistake.
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]

# What `go tool dist list` names for Linux, the only system distroless has: no program is needed to plan.
GO_ARCHITECTURES = frozenset(
    [
        *("386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle"),
        *("ppc64", "ppc64le", "riscv64", "s390x"),
    ]
)
# Registries in which a repository has an owner, group or project before its name.
OWNED = frozenset(["docker.io", "index.docker.io", "ghcr.io", "quay.io", "gcr.io", "registry.gitlab.com"])


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that refuses what it does not know."""


class GoBuild(Strict, frozen=True, kw_only=True):
    """The Go module that is released, relative to the repository, and the variable that takes the version."""

    module: RelativePath
    package: GoPackage
    version_variable: LinkerSymbol


class Variant(Strict, frozen=True, kw_only=True):
    """One kind of image: its repository, its Dockerfile, and the base it stands on."""

    repository: RepositoryPath
    dockerfile: RelativePath
    base: Literal["static", "base"]
    linkage: Linkage
    glibc: GlibcVersion | None = None


class ImageConfig(Strict, frozen=True, kw_only=True):
    """What every image says of itself."""

    title: Line
    description: Line
    licenses: Line
    user: UserIds


class Gates(Strict, frozen=True, kw_only=True):
    """The limits of the gates, in seconds where they are times."""

    start_seconds: Seconds
    stop_seconds: Seconds
    severities: Annotated[
        tuple[Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"], ...], msgspec.Meta(min_length=1)
    ]
    require_fix: bool
    not_checked: Literal["refuse", "allow"] = "refuse"


class Signer(Strict, frozen=True, kw_only=True):
    """What certificates must say of the repository and its runs, beyond their names.

    GitHub's numbers of the repository and its owner stay when a name is given to another owner; what is None
    must be the same in all signatures of a release. ``self_hosted`` accepts signatures made on runners that
    are not GitHub's, too. ``workflow`` is the one whose job signs, where the repository's own only calls it.
    """

    workflow: WorkflowRef | None = None
    repository_id: Annotated[int, msgspec.Meta(gt=0)] | None = None
    owner_id: Annotated[int, msgspec.Meta(gt=0)] | None = None
    visibility: Literal["public", "private", "internal"] | None = None
    self_hosted: bool = False

    def signed_by(self, source: str, workflow: str, ref: str) -> str:
        """Name the workflow that signs at a ref: the repository's own, where no other one is set."""
        named = self.workflow or f"{source}/{workflow}"
        return named if "@" in named else f"{named}@{ref}"


class Config(Strict, frozen=True, kw_only=True):
    """Everything ``ci/release.yaml`` says.

    ``github`` is the host, None the public one; ``issuer`` is who issues the workflow's identity tokens, None
    the one of the host;
    ``github_latest`` tells whether a published release may become the repository's latest one.
    """

    service: ServiceName
    source: Source
    registry: RegistryName
    go: GoBuild
    suite: Suite
    platforms: Annotated[tuple[Platform, ...], msgspec.Meta(min_length=1)]
    variants: Annotated[dict[VariantName, Variant], msgspec.Meta(min_length=1)]
    image: ImageConfig
    gates: Gates
    moving_tags: tuple[MovingTag, ...] = MOVING_TAGS
    github: GitHubHost | None = None
    github_latest: bool = True
    issuer: IssuerUrl | None = None
    signer: Signer = Signer()

    @property
    def host(self) -> GitHubHost:
        """The GitHub that has the source."""
        return self.github or GitHubHost(GITHUB)

    @property
    def source_url(self) -> str:
        """Where the source is on GitHub."""
        return f"{self.host.url}/{self.source}"

    @property
    def token_issuer(self) -> IssuerUrl:
        """Who must have issued the identity token that signs a release."""
        return self.issuer or self.host.issuer

    def moved_by(self, version: Version) -> tuple[Tag, ...]:
        """Return the tags that follow the newest release and that this version's release may move."""
        tags = zip(MOVING_TAGS, version.moving_tags, strict=False)
        return tuple(tag for kind, tag in tags if kind in self.moving_tags)


def load(path: Path) -> Config:
    """Read the configuration; raise UsageError with file, line and key of everything that is wrong in it."""
    return load_yaml(path, Config, check=_check)


def parse(text: str, path: Path) -> Config:
    """Read a configuration's text; ``path`` is for messages."""
    return parse_yaml(text, path, Config, check=_check)


def _check(config: Config) -> Iterator[Problem]:
    """Look at what two values say together."""
    for number, platform in enumerate(config.platforms):
        if platform.os != "linux" or platform.arch not in GO_ARCHITECTURES:
            near = difflib.get_close_matches(platform.arch, GO_ARCHITECTURES, n=1)
            hint = f"perhaps linux/{near[0]}" if near else "go tool dist list shows the ones Go knows"
            yield Problem(("platforms", number), f"Go does not know the platform {platform}", hint)
        elif platform.variant:
            words = f"the platform {platform} names a variant; a plain binary runs on all of them"
            yield Problem(("platforms", number), words, f"write it as {platform.os}/{platform.arch}")
    lists = (
        (("platforms",), "platform", config.platforms),
        (("moving_tags",), "tag", config.moving_tags),
        (("gates", "severities"), "severity", config.gates.severities),
    )
    for place, kind, values in lists:
        if twice := sorted({value for value in values if values.count(value) > 1}):
            yield Problem(place, f"name each {kind} once: {', '.join(twice)} is there twice")
    if config.registry in OWNED and any("/" not in v.repository for v in config.variants.values()):
        owned = f"{config.registry}/{config.source.partition('/')[0].lower()}"
        words = f"{config.registry} has no repository without an owner, group or project before its name"
        yield Problem(("registry",), words, f"perhaps registry: {owned}")
    owners: dict[str, str] = {}
    for name, variant in config.variants.items():
        where = ("variants", name, "repository")
        yield from _in_registry(where, config.registry, variant.repository)
        if (other := owners.setdefault(variant.repository, name)) != name:
            yield Problem(
                where,
                f"the variants {other} and {name} have one repository, {variant.repository}",
                f"give each its own: its tags would name one image only; perhaps {variant.repository}-{name}",
            )
        if variant.linkage == "dynamic" and variant.glibc is None:
            yield Problem(
                ("variants", name),
                f"the dynamic variant {name} has no glibc, whose newest symbols it may use",
                'for debian12 write glibc: "2.36"',
            )


def _in_registry(place: tuple[str, ...], registry: str, repository: str) -> Iterator[Problem]:
    whole, (first, _, rest) = f"{registry}/{repository}", repository.partition("/")
    if rest and first in {registry.partition("/")[0], *OWNED}:
        words = f"{repository} begins with the host of a registry, which registry names"
        yield Problem(place, words, f"write repository: {repository.rpartition('/')[2]}")
    elif not Repository.accepts(whole):
        yield Problem(place, f"{whole} is longer than the 255 characters that a registry allows")
