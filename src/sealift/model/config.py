"""``ci/release.yaml``, read once, at the door."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

import msgspec

from sealift.errors import UsageError
from sealift.model.names import Platform
from sealift.model.yamlfile import load_yaml, parse_yaml

Linkage = Literal["static", "dynamic"]

# What `go tool dist list` names for Linux, the only system distroless has: no program is needed to plan.
GO_ARCHITECTURES = frozenset(
    [
        *("386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle"),
        *("ppc64", "ppc64le", "riscv64", "s390x"),
    ]
)


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that refuses what it does not know."""


class GoBuild(Strict, frozen=True, kw_only=True):
    """The Go module that is released, relative to the repository, and the variable that takes the version."""

    module: str
    package: str
    version_variable: str


class Variant(Strict, frozen=True, kw_only=True):
    """One kind of image: its repository, its Dockerfile, and the base it stands on."""

    repository: str
    dockerfile: str
    base: Literal["static", "base"]
    linkage: Linkage
    glibc: str | None = None


class ImageConfig(Strict, frozen=True, kw_only=True):
    """What every image says of itself."""

    title: str
    description: str
    licenses: str
    user: str


class Gates(Strict, frozen=True, kw_only=True):
    """The limits of the gates, in seconds where they are times."""

    start_seconds: float
    stop_seconds: float
    severities: tuple[Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"], ...]
    require_fix: bool
    not_checked: Literal["refuse", "allow"] = "refuse"


class Config(Strict, frozen=True, kw_only=True):
    """Everything ``ci/release.yaml`` says."""

    service: str
    source: str
    registry: str
    go: GoBuild
    suite: Literal["debian12", "debian13"]
    platforms: tuple[Platform, ...]
    variants: dict[str, Variant]
    image: ImageConfig
    gates: Gates


def load(path: Path) -> Config:
    """Read the configuration; raise UsageError with key, line and the nearest known key."""
    return _checked(path, load_yaml(path, Config))


def parse(text: str, path: Path) -> Config:
    """Read a configuration's text; ``path`` is for messages."""
    return _checked(path, parse_yaml(text, path, Config))


def _checked(path: Path, config: Config) -> Config:
    for platform in config.platforms:
        if platform.os != "linux" or platform.arch not in GO_ARCHITECTURES:
            near = difflib.get_close_matches(platform.arch, GO_ARCHITECTURES, n=1)
            hint = f"perhaps linux/{near[0]}" if near else "go tool dist list shows the ones Go knows"
            raise UsageError(f"{path}: Go does not know the platform {platform}", next_step=hint)
        if platform.variant:
            raise UsageError(
                f"{path}: the platform {platform} names a variant",
                means="binaries are built for the plain architecture, which runs on all its variants",
                next_step=f"write it as {platform.os}/{platform.arch}",
            )
    if len(set(config.platforms)) != len(config.platforms) or not config.platforms:
        raise UsageError(f"{path}: platforms must name each platform once, and at least one")
    if not config.variants:
        raise UsageError(f"{path}: variants must name at least one variant")
    return config
