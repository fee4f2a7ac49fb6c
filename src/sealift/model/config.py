"""``ci/release.yaml``, read once, at the door."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from sealift.errors import UsageError
from sealift.model.codec import dec_hook
from sealift.model.names import Platform

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
    try:
        text = path.read_text()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """Read a configuration's text; ``path`` is for messages."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    try:
        config = msgspec.convert(raw, Config, dec_hook=dec_hook)
    except msgspec.ValidationError as error:
        raise _explain(path, text, raw, str(error)) from error
    _check(path, config)
    return config


def _check(path: Path, config: Config) -> None:
    for platform in config.platforms:
        if platform.os != "linux" or platform.arch not in GO_ARCHITECTURES:
            near = difflib.get_close_matches(platform.arch, GO_ARCHITECTURES, n=1)
            hint = f"perhaps linux/{near[0]}" if near else "go tool dist list shows the ones Go knows"
            raise UsageError(f"{path}: Go does not know the platform {platform}", next_step=hint)
    if len(set(config.platforms)) != len(config.platforms) or not config.platforms:
        raise UsageError(f"{path}: platforms must name each platform once, and at least one")
    if not config.variants:
        raise UsageError(f"{path}: variants must name at least one variant")


def _explain(path: Path, text: str, raw: Any, message: str) -> UsageError:
    """Turn msgspec's words into the key, its line, and the nearest key that exists."""
    unknown = re.search(r"unknown field `([^`]+)`", message)
    where = re.search(r"`\$\.?([^`]*)`", message)
    place = where.group(1) if where else ""
    if unknown is None:
        line = _line_of(text, _steps(place))
        return UsageError(f"{path}:{line}: {message}" if line else f"{path}: {message}")
    key = unknown.group(1)
    holder, steps = _find_holder(Config, raw, _steps(place))
    near = difflib.get_close_matches(key, holder.__struct_fields__, n=1)
    line = _line_of(text, [*steps, key])
    hint = f"perhaps you meant {near[0]}" if near else "known here: " + ", ".join(holder.__struct_fields__)
    return UsageError(f"{path}:{line}: unknown key {key}", next_step=hint)


def _steps(place: str) -> list[str]:
    return [p for p in re.split(r"[.\[\]]+", place) if p]


def _find_holder(root: Any, raw: Any, steps: list[str]) -> tuple[Any, list[str]]:
    """Follow msgspec's path, whose ``[...]`` stands for any key of a mapping, to the struct it is about."""
    holder, taken = root, []
    for step in steps:
        if step in getattr(holder, "__struct_fields__", ()):
            field = next(f for f in msgspec.structs.fields(holder) if f.name == step)
            holder, raw = field.type, raw.get(step, {})
            taken.append(step)
            if getattr(holder, "__origin__", None) is dict:
                holder = holder.__args__[1]
                known = set(holder.__struct_fields__)
                name = next((n for n, v in raw.items() if isinstance(v, dict) and set(v) - known), None)
                if name is not None:
                    taken.append(name)
                    raw = raw[name]
    return holder, taken


def _line_of(text: str, steps: list[str]) -> int:
    """Return the 1-based line of a key, 0 when it cannot be found."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 0
    for step in steps:
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if key.value == step:
                line, node = key.start_mark.line + 1, value
                break
    return line
