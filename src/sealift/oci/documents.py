"""Indexes, manifests and configurations in the one form that every reader understands alike.

Go's decoder takes ``Layers`` and ``layers`` for the same member and the last one counts, Python's keeps
both, and neither refuses what it does not know. So a document is read here only where no two readers can
differ: exact names, none twice, none unknown, no number but a whole one, and bounded size and depth.

    index = read_index(layout.read(digest), f"index {digest}")
    for difference in differences(expected, index.raw): ...
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from sealift.errors import RefusedError
from sealift.model.codec import convert
from sealift.model.names import Digest

JSON = dict[str, Any]
T = TypeVar("T")

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker."
INDEX = f"{OCI}index.v1+json"
MANIFEST = f"{OCI}manifest.v1+json"
CONFIG = f"{OCI}config.v1+json"
LAYER = f"{OCI}layer.v1.tar+gzip"
# Docker's names of the same documents, which base images may still carry.
INDEXES = frozenset([INDEX, f"{DOCKER}distribution.manifest.list.v2+json"])
MANIFESTS = frozenset([MANIFEST, f"{DOCKER}distribution.manifest.v2+json"])
CONFIGS = frozenset([CONFIG, f"{DOCKER}container.image.v1+json"])
LAYERS = frozenset([LAYER, f"{DOCKER}image.rootfs.diff.tar.gzip"])

_MEMBERS = frozenset(
    ["schemaVersion", "mediaType", "manifests", "config", "layers", "annotations", "subject"]
)
# Go folds the long s and the Kelvin sign, too.
_FOLDED = frozenset(name.casefold() for name in _MEMBERS)

# One without an end reaches to the end, or each of its quotes would be looked at as the beginning of another.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"{[]}"))
_STEP = {ord("{"): 1, ord("["): 1, ord("]"): -1, ord("}"): -1}
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
# What some writers of JSON escape; any other printable character of ASCII they write as it is.
_MAY_BE_ESCAPED = frozenset("\"\\/<>&'=")
_MOST_DIGITS = 18


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a document may hold; ``fractions`` tells whether it may have numbers that are not whole."""

    size: int
    depth: int
    members: int
    fractions: bool = False


# Registries accept manifests of 4 MiB: https://github.com/opencontainers/distribution-spec
IMAGE = Limits(size=4 << 20, depth=16, members=1024)
# Lists of packages and scanners' reports; no client reads a greater bundle.
STATEMENT = Limits(size=32 << 20, depth=64, members=65_536, fractions=True)


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A value whose members are all known, by their exact names."""


class PlatformEntry(_Strict, frozen=True, kw_only=True):
    """What a manifest is for; versions and features of a system are no part of a Linux image."""

    os: str
    architecture: str
    variant: str = ""


class Descriptor(_Strict, frozen=True, kw_only=True):
    """A reference to a blob; ``data`` and ``urls`` would be a second place to get it from."""

    media_type: str
    digest: Digest
    size: int
    platform: PlatformEntry | None = None
    annotations: dict[str, str] = {}


class Index(_Strict, frozen=True, kw_only=True):
    """A list of manifests, one for each platform."""

    schema_version: int
    media_type: str = ""
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class Manifest(_Strict, frozen=True, kw_only=True):
    """One platform's image: its configuration and its layers."""

    schema_version: int
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class RootFS(_Strict, frozen=True, kw_only=True):
    """The layers' uncompressed digests, lowest first."""

    type: str
    diff_ids: tuple[Digest, ...] = msgspec.field(name="diff_ids")


class History(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a build."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="pascal"):
    """How an engine asks a container whether it is well; times are nanoseconds."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="pascal"):
    """What an engine starts a container with; the second half is Docker's alone."""

    user: str = ""
    exposed_ports: dict[str, JSON] | None = None
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: dict[str, JSON] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: HealthCheck | None = None
    on_build: tuple[str, ...] | None = None
    shell: tuple[str, ...] | None = None
    hostname: str = ""
    domainname: str = ""
    image: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An image configuration."""

    architecture: str
    os: str
    rootfs: RootFS
    config: Settings = Settings()
    variant: str = ""
    created: str | None = None
    author: str = ""
    docker_version: str = ""
    history: tuple[History, ...] = ()


@dataclass(frozen=True)
class Document(Generic[T]):
    """A document as values, and as it was written."""

    value: T
    raw: JSON
    size: int


def read_json(data: bytes, what: str, limits: Limits = IMAGE) -> JSON:
    """Read an object that every JSON reader takes for the same; anything else raises RefusedError."""
    if len(data) > limits.size:
        raise _refused(what, f"has {len(data)} bytes, more than {limits.size}")
    if _depth(data) > limits.depth:
        raise _refused(what, f"is nested more than {limits.depth} deep")
    try:
        found = json.loads(
            data.decode(),
            object_pairs_hook=functools.partial(_members, limits),
            parse_int=_whole,
            parse_float=_fraction if limits.fractions else _no_number,
            parse_constant=_no_number,
        )
        if _SURROGATE.search(data):
            # One that stands alone becomes another character in Go.
            json.dumps(found, ensure_ascii=False).encode()
        if limits is IMAGE:
            _check_escapes(data)
    except (ValueError, RecursionError) as err:
        raise _refused(what, f"is not strict JSON: {err}") from err
    if not isinstance(found, dict):
        raise _refused(what, f"is not an object but a {type(found).__name__}")
    return found


def children(data: bytes, what: str) -> list[JSON]:
    """Return what an index lists, nothing for a manifest; for documents that others wrote, with more in them.

    A member that Go would take for one of these, for its case, is refused.
    """
    found = read_json(data, what)
    for name in found:
        if name not in _MEMBERS and name.casefold() in _FOLDED:
            raise _refused(what, f"has the member {name!r}, which some readers take for {name.casefold()!r}")
    listed = found.get("manifests", [])
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        raise _refused(what, "lists no manifests under 'manifests'")
    return listed


def read_top(data: bytes, what: str, size: int) -> None:
    """Read the index.json of a layout, which names one index of that size and no more."""
    top = _read(data, what, Index).value
    _check_kind(what, top.media_type or INDEX, INDEXES, top.schema_version)
    for entry in top.manifests:
        _check_descriptor(what, entry, INDEXES)
        if entry.size != size:
            raise _refused(what, f"names {entry.digest} with a size of {entry.size}, it has {size}")


def read_index(data: bytes, what: str) -> Document[Index]:
    """Read an index whose entries are image manifests."""
    found = _read(data, what, Index)
    index = found.value
    _check_kind(what, index.media_type, INDEXES, index.schema_version)
    for entry in index.manifests:
        _check_descriptor(what, entry, MANIFESTS)
        if entry.platform is None or "unknown" in (entry.platform.os, entry.platform.architecture):
            raise _refused(what, f"lists {entry.digest} for no known platform")
    return found


def read_manifest(data: bytes, what: str) -> Document[Manifest]:
    """Read an image manifest."""
    found = _read(data, what, Manifest)
    manifest = found.value
    _check_kind(what, manifest.media_type, MANIFESTS, manifest.schema_version)
    _check_descriptor(what, manifest.config, CONFIGS)
    for layer in manifest.layers:
        _check_descriptor(what, layer, LAYERS)
    if any(d.platform is not None for d in (manifest.config, *manifest.layers)):
        raise _refused(what, "gives a platform to a part of one image")
    return found


def read_configuration(data: bytes, what: str) -> Document[Configuration]:
    """Read an image configuration."""
    found = _read(data, what, Configuration)
    if found.value.rootfs.type != "layers":
        raise _refused(what, f"has a root of the type {found.value.rootfs.type!r}, not layers")
    return found


def differences(expected: object, got: object, where: str = "") -> Iterator[str]:
    """Yield every place in which two documents differ; one that is missing is written as nothing."""
    match expected, got:
        case dict(), dict():
            for key in sorted({*expected, *got}):
                place = f"{where}.{key}" if where else key
                if key in expected and key in got:
                    yield from differences(expected[key], got[key], place)
                else:
                    yield f"{place}: expected {_shown(expected, key)}, got {_shown(got, key)}"
        case [*_], [*_] if len(expected) == len(got):
            for number, (ours, theirs) in enumerate(zip(expected, got, strict=True)):
                yield from differences(ours, theirs, f"{where}[{number}]")
        case _ if expected != got or isinstance(expected, bool) != isinstance(got, bool):
            yield f"{where}: expected {_short(expected)}, got {_short(got)}"


def _shown(value: JSON, key: str) -> str:
    return _short(value[key]) if key in value else "nothing"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."  # noqa: PLR2004 - a line of a message


def _read(data: bytes, what: str, kind: type[T]) -> Document[T]:
    raw = read_json(data, what)
    try:
        return Document(convert(raw, kind), raw, len(data))
    except msgspec.ValidationError as err:
        raise _refused(what, f"is not in the strict form of one: {err}") from err


def _check_kind(what: str, media_type: str, allowed: Collection[str], version: int) -> None:
    if media_type not in allowed:
        raise _refused(what, f"calls itself {media_type!r}")
    if version != 2:  # noqa: PLR2004 - the only version of the schema
        raise _refused(what, f"has the schema version {version}, not 2")


def _check_descriptor(what: str, entry: Descriptor, allowed: Collection[str]) -> None:
    if entry.media_type not in allowed:
        raise _refused(what, f"names {entry.digest} with the media type {entry.media_type!r}")
    if entry.size <= 0:
        raise _refused(what, f"names {entry.digest} with a size of {entry.size}")


def _depth(data: bytes) -> int:
    """Say how deep brackets are nested, without a reader that could run out of stack."""
    brackets = _STRING.sub(b"", data).translate(None, _NO_BRACKETS)
    return max(itertools.accumulate(_STEP[bracket] for bracket in brackets), default=0)


def _check_escapes(data: bytes) -> None:
    """Refuse a plain character that is written as an escape: Go reads times without undoing them."""
    for escape in _ESCAPE.finditer(data):
        char = chr(int(escape[1], 16)) if escape[1] else ""
        if char.isascii() and char.isprintable() and char not in {"", *_MAY_BE_ESCAPED}:
            raise ValueError(f"the character {char!r} is written as {escape[0].decode()}")


def _members(limits: Limits, pairs: Sequence[tuple[str, Any]]) -> JSON:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the member {twice!r} stands twice")
    if len(found) > limits.members:
        raise ValueError(f"an object has {len(found)} members, more than {limits.members}")
    # Image documents are read into known members, which refuse every other one; statements may hold any.
    if limits.fractions and len(set(map(str.casefold, found))) != len(found):
        folded = sorted(found, key=str.casefold)
        alike = next(pair for pair in itertools.pairwise(folded) if pair[0].casefold() == pair[1].casefold())
        raise ValueError(f"the members {alike[0]!r} and {alike[1]!r} are one for some readers")
    return found


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS or text == "-0":
        return _no_number(text[:_MOST_DIGITS])
    return int(text)


def _fraction(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text[:_MOST_DIGITS])


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a whole number of an image")


def _refused(what: str, why: str) -> RefusedError:
    return RefusedError(
        f"{what} {why}",
        means="engines, registries and scanners could read it in different ways",
        next_step="build or fetch the image again",
    )


def without_zero(settings: Mapping[str, Any]) -> JSON:
    """Leave out what an engine takes for not set."""
    return {key: value for key, value in settings.items() if value not in (None, "", False, [], {})}
