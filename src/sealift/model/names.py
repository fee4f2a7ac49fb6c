"""The names that identify things. Each parses or raises; each prints as what it parsed."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

import semver

from sealift.errors import UsageError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# https://github.com/distribution/reference/blob/main/reference.go
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::(?P<port>[0-9]{{1,5}}))?")
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{COMPONENT}(?:/{COMPONENT})*")
# Of host, path and the slash between them; registries and clients refuse longer names.
_LONGEST = 255
_LAST_PORT = 65535
_LONGEST_PATH = 1024
# How much of a wrong value an error shows, and what of it never.
_SHOWN = 300
_LOGIN = re.compile(r"(?<=//)[^/@\s]*@|^[^/@\s]*:[^/@\s]*@")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def is_host(text: str) -> bool:
    """Tell whether a text is a host as image references have it: a name or an address, and maybe a port."""
    found = _HOST.fullmatch(text)
    return found is not None and 0 < int(found["port"] or 443) <= _LAST_PORT


def is_repository_path(text: str) -> bool:
    """Tell whether a text can stand after a registry's host."""
    return _PATH.fullmatch(text) is not None


class Text(str):
    """A string that keeps a grammar."""

    kind: ClassVar[str] = "text"
    example: ClassVar[str] = ""
    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if not cls.accepts(text):
            shown = _LOGIN.sub("***@", _short(text))
            raise UsageError(
                f"{shown!r} is not a {cls.kind}",
                next_step=f"write it as {cls.corrected(text) or cls.example}",
            )
        return super().__new__(cls, text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text, or raise UsageError."""
        return cls(text)

    @classmethod
    def accepts(cls, text: str) -> bool:
        """Tell whether the text keeps this grammar."""
        raise NotImplementedError

    @classmethod
    def corrected(cls, text: str) -> str | None:
        """Return what was probably meant, which keeps the grammar; None where that is not clear."""
        return next((guess for guess in cls.guesses(text) if cls.accepts(guess)), None)

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        """Yield what a text may have been meant as, likeliest first."""
        yield text.strip()


class Digest(Text):
    """The SHA-256 of some bytes, ``sha256:`` and 64 hexadecimal digits."""

    kind = "digest"
    example = "sha256: and 64 lower-case hexadecimal digits"
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        return _DIGEST.fullmatch(text) is not None

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Hash some bytes."""
        return cls(f"sha256:{hashlib.sha256(data).hexdigest()}")

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """Hash a file's bytes without holding them all."""
        with path.open("rb") as file:
            return cls(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")

    @property
    def hex(self) -> str:
        """The 64 digits alone."""
        return self.removeprefix("sha256:")


class RunPath(Text):
    """A path below the run folder: it neither begins at the root nor climbs."""

    kind = "path below the run folder"
    example = "sbom/static-linux-amd64.spdx.json"
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        steps = text.split("/")
        plain = text.isprintable() and "\\" not in text and len(text) <= _LONGEST_PATH
        return plain and not any(step in ("", ".", "..") for step in steps)


class Tag(Text):
    """An image tag."""

    kind = "tag"
    example = "1.2.3 or latest"
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        return _TAG.fullmatch(text) is not None


class Repository(Text):
    """A registry's host and a path in it, ``ghcr.io/owner/name`` or ``localhost:5000/name``."""

    kind = "repository"
    example = "registry.example/owner/name"
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        host, slash, path = text.partition("/")
        return bool(slash) and len(text) <= _LONGEST and is_host(host) and is_repository_path(path)

    @property
    def host(self) -> str:
        """The registry, with its port."""
        return self.partition("/")[0]

    @property
    def path(self) -> str:
        """The name inside the registry."""
        return self.partition("/")[2]

    def at(self, digest: Digest) -> str:
        """Refer to one manifest."""
        return f"{self}@{digest}"

    def tagged(self, tag: Tag) -> str:
        """Refer to a tag."""
        return f"{self}:{tag}"


# The variant that every tool means where an architecture has none.
# https://github.com/containerd/platforms/blob/main/database.go
_PLAIN_VARIANTS = {"amd64": "v1", "arm": "v7", "arm64": "v8"}
# What ``uname -m`` calls an architecture that Go calls otherwise.
_UNAME = {"x86_64": "amd64", "aarch64": "arm64", "i386": "386", "i686": "386", "armv7l": "arm"}


class Platform(Text):
    """An operating system, an architecture as Go spells it, and perhaps a variant: ``linux/arm/v5``.

    The variant that is meant without one is left out, so ``linux/arm64/v8`` is ``linux/arm64``.
    """

    kind = "platform"
    example = "linux/amd64"
    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        plain, _, variant = text.rpartition("/")
        if variant and _PLAIN_VARIANTS.get(plain.partition("/")[2]) == variant:
            return super().__new__(cls, plain)
        return super().__new__(cls, text)

    @classmethod
    def accepts(cls, text: str) -> bool:
        return re.fullmatch(r"[a-z0-9]+/[a-z0-9]+(?:/[a-z0-9.]+)?", text) is not None

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        system, _, arch = text.strip().lower().rpartition("/")
        arch = _UNAME.get(arch, arch)
        if system or arch in _UNAME.values():
            yield f"{system or 'linux'}/{arch}"

    @classmethod
    def of_oci(cls, entry: Mapping[str, object]) -> Self:
        """Read what an image's configuration, or a descriptor's ``platform``, says of itself."""
        names = (entry.get("os"), entry.get("architecture"), entry.get("variant"))
        return cls("/".join(str(name) for name in (names if names[2] else names[:2])))

    @property
    def os(self) -> str:
        """The operating system."""
        return self.split("/")[0]

    @property
    def arch(self) -> str:
        """The architecture, as GOARCH."""
        return self.split("/")[1]

    @property
    def variant(self) -> str:
        """The variant of the architecture, empty for the plain one."""
        return "".join(self.split("/")[2:])

    @property
    def slug(self) -> str:
        """The platform as part of a file's name."""
        return self.replace("/", "-")


@functools.total_ordering
class Version:
    """A semantic version, written without the tag's ``v``."""

    __slots__ = ("number",)

    def __init__(self, number: semver.Version) -> None:
        self.number = number

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``1.2.3`` or ``v1.2.3``; build metadata cannot be a tag and is refused."""
        try:
            number = semver.Version.parse(text.removeprefix("v"))
        except ValueError as error:
            why, right = _nearly(text)
            raise UsageError(
                f"{_short(text)!r} is not a semantic version", means=why, next_step=f"write it as {right}"
            ) from error
        if number.build:
            raise UsageError(
                f"{_short(text)!r} has build metadata",
                means="a + cannot stand in an image tag",
                next_step="leave +... out",
            )
        if not Tag.accepts(str(number)):
            raise UsageError(
                f"{_short(text)!r} is too long a version",
                means="it is too long for an image tag",
                next_step="use at most 128 characters",
            )
        return cls(number)

    @classmethod
    def of_tag(cls, tag: str) -> Self:
        """Read the version that a tag in git releases: ``v1.2.3``, and nothing that is only like it."""
        try:
            version = cls.parse(tag)
        except UsageError as error:
            why = error.means or "it is not written as v1.2.3 is"
            raise UsageError(
                f"the tag {_short(tag)!r} names no version to release: {why}",
                means=f"{error.happened}; a release is started by a tag such as v1.2.3",
                next_step=re.sub(r"^write it as (?=[0-9])", "write it as v", error.next_step),
            ) from error
        if version.git_tag != tag:
            raise UsageError(
                f"the tag {_short(tag)!r} names no version to release: it does not begin with v",
                means="a release is started by a tag such as v1.2.3",
                next_step=f"write it as {version.git_tag}",
            )
        return version

    @classmethod
    def of_image_tag(cls, tag: str) -> Self | None:
        """Read the version whose image tag this is, ``1.2.3``; None where it is another kind of tag."""
        try:
            version = cls.parse(tag)
        except UsageError:
            return None
        return version if version.version_tag == tag else None

    def __str__(self) -> str:
        return str(self.number)

    def __repr__(self) -> str:
        return f"Version({self})"

    def __hash__(self) -> int:
        return hash(str(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.number == other.number

    def __lt__(self, other: Version) -> bool:
        return self.number < other.number

    @property
    def git_tag(self) -> str:
        """The tag in git."""
        return f"v{self.number}"

    @property
    def prerelease(self) -> bool:
        """Whether it is one: such a version moves no other tag."""
        return self.number.prerelease is not None

    def next_patch(self) -> Version:
        """Return the version that would come next; after a prerelease it is the one that was prepared."""
        return Version(self.number.next_version("patch"))

    @property
    def version_tag(self) -> Tag:
        """The tag that never moves."""
        return Tag(str(self.number))

    @property
    def moving_tags(self) -> tuple[Tag, ...]:
        """The tags that follow the newest release, closest first."""
        if self.prerelease:
            return ()
        return Tag(f"{self.number.major}.{self.number.minor}"), Tag(str(self.number.major)), Tag("latest")


def _nearly(text: str) -> tuple[str, str]:
    """Say what keeps a text from being a version, and how it would be right; two general words otherwise."""
    if len(text) > _SHOWN:
        return "", "1.2.3"
    bare = text.removeprefix("v").removeprefix("V")
    core, mark, rest = re.fullmatch(r"([0-9.]*)([-+]?)(.*)", bare, re.DOTALL).groups()  # type: ignore[union-attr]
    numbers = core.split(".")
    if not all(n.isdecimal() for n in numbers) or (rest and not mark):
        return "", "1.2.3"
    right = ("v" if text[0] in "vV" else "") + ".".join(str(int(n[:40])) for n in numbers) + mark + rest
    if zeros := [n for n in numbers if len(n) > 1 and n.startswith("0")]:
        return f"{zeros[0]} begins with a zero", right
    if len(numbers) != 3:  # noqa: PLR2004 - major, minor, patch
        return "a version has three numbers", "1.2.3"
    if text.startswith("V"):
        return "the v is a small one", right
    return "", "1.2.3"
