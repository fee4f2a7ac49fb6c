"""The kinds of text that settings are made of. Each parses or raises, and knows what was probably meant."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

import msgspec

from sealift.model.names import COMPONENT, Text, is_host, is_repository_path

# The Debian releases that distroless stands on.
Suite = Literal["debian12", "debian13"]
GITHUB = "github.com"
# GitHub's own Enterprise Cloud with data residency: every company has a subdomain of this.
GITHUB_RESIDENCY = ".ghe.com"

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/@]*@)?")
_TAG_OR_DIGEST = re.compile(r"(?:(?<=.):(?![0-9]+/)[\w.-]+)?(?:@[\w.+-]+:[0-9a-fA-F]*)?$")
_LAST_ID = 2**31 - 1


class Pattern(Text):
    """A text that keeps a regular expression."""

    pattern: ClassVar[re.Pattern[str]]
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        return cls.pattern.fullmatch(text) is not None


class RegistryName(Text):
    """Where the repositories of a release are: a registry's host, perhaps a port, and perhaps a path."""

    kind = "registry: a host, an optional port and path, in lower case, without scheme, tag or final slash"
    example = "ghcr.io/owner"
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        host, slash, path = text.partition("/")
        # As docker tells a host from the first part of a path.
        named = host == "localhost" or bool(set(".:") & set(host))
        return named and is_host(host) and host == host.lower() and (not slash or is_repository_path(path))

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        bare = _SCHEME.sub("", text.strip())
        if bare != text.strip():
            # The address of a registry's API, as docker's own configuration has it.
            bare = re.sub(r"/v[12]/?$", "", bare)
        joined = re.sub(r"/+", "/", bare).strip("/").lower()
        yield joined
        yield _TAG_OR_DIGEST.sub("", joined)


class RepositoryPath(Text):
    """A repository below the registry of a release."""

    kind = "repository: parts of a-z, 0-9 and single . _ - between them, joined by /, without host and tag"
    example = "health-caretaker"
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        return is_repository_path(text)

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        joined = re.sub(r"/+", "/", _SCHEME.sub("", text.strip())).strip("/").lower()
        yield joined
        yield _TAG_OR_DIGEST.sub("", joined)
        yield re.sub(r"[^a-z0-9/]+", "-", joined).strip("-")


class Source(Pattern):
    """A repository on GitHub."""

    kind = "GitHub repository: owner/name, without host and .git"
    example = "owner/name"
    # An owner's underscore comes from Enterprise Managed Users.
    pattern = re.compile(
        r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,38})/(?!\.{1,2}$)(?!.*\.git$)[A-Za-z0-9._-]{1,100}",
    )
    __slots__ = ()

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        # https://host/owner/name.git, git@host:owner/name, host/owner/name/tree/main
        bare = re.sub(r"^[\w.-]+@([\w.-]+):", r"\1/", _SCHEME.sub("", text.strip()))
        parts = [part for part in bare.removeprefix("www.").split("/") if part]
        if parts and "." in parts[0]:
            parts = parts[1:]
        yield "/".join(parts[:2]).removesuffix(".git")


class GitHubHost(Text):
    """GitHub's own host, or that of an enterprise."""

    kind = "host of GitHub: a name and an optional port, in lower case, without scheme and path"
    example = GITHUB
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        return is_host(text) and text == text.lower() and "." in text and not text.startswith("api.")

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        host = _SCHEME.sub("", text.strip()).partition("/")[0].lower()
        yield re.sub(r"^(?:www|api)\.", "", host)

    @property
    def url(self) -> str:
        """Where people look."""
        return f"https://{self}"

    @property
    def api(self) -> str:
        """The address of the API.

        https://docs.github.com/en/enterprise-server/rest, and .../enterprise-cloud@latest/rest for residency
        """
        if self == GITHUB or self.endswith(GITHUB_RESIDENCY):
            return f"https://api.{self}"
        return f"{self.url}/api/v3"

    @property
    def issuer(self) -> IssuerUrl:
        """Who issues the identity tokens of workflows there, unless an enterprise has an issuer of its own.

        https://docs.github.com/en/actions/reference/security/oidc
        """
        if self == GITHUB:
            return IssuerUrl("https://token.actions.githubusercontent.com")
        if self.endswith(GITHUB_RESIDENCY):
            return IssuerUrl(f"https://token.actions.{self}")
        return IssuerUrl(f"{self.url}/_services/token")


class IssuerUrl(Text):
    """Who issues identity tokens, as certificates name it: every character counts."""

    kind = "token issuer: an https URL without query, fragment or final slash"
    example = "https://token.actions.githubusercontent.com/ENTERPRISE"
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        if not re.fullmatch(r"https://[!-~]+[^/?#\s]", text) or set("?#@\\") & set(text):
            return False
        host = text.removeprefix("https://").partition("/")[0]
        return is_host(host) and host == host.lower()

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        bare = re.split(r"[?#]", _SCHEME.sub("", text.strip()))[0].removesuffix(
            "/.well-known/openid-configuration"
        )
        host, slash, path = bare.rstrip("/").partition("/")
        yield f"https://{host.lower()}{slash}{path}"


class WorkflowRef(Pattern):
    """A workflow as certificates name it; without a ref it is that of the version's tag."""

    kind = "workflow: owner/name/.github/workflows/FILE.yml, and perhaps @refs/... or @ and a whole commit"
    example = "owner/name/.github/workflows/release.yml@refs/tags/v4"
    pattern = re.compile(
        r"[A-Za-z0-9][A-Za-z0-9-]*/(?!\.\.?/)[A-Za-z0-9._-]+/\.github/workflows/[A-Za-z0-9._-]+\.ya?ml"
        r"(?:@(?:refs/(?:heads|tags)/[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*|[0-9a-f]{40}))?"
    )
    __slots__ = ()

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        named, at, ref = _SCHEME.sub("", text.strip()).removeprefix(f"{GITHUB}/").partition("@")
        yield f"{named}{at}refs/tags/{ref}"


class ServiceName(Pattern):
    """What the program is called: a file in the image, and the beginning of every asset's name."""

    kind = "service name: letters, digits and . _ - between them, 64 at most"
    example = "health-caretaker"
    pattern = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
    __slots__ = ()

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        yield re.sub(r"[^A-Za-z0-9._-]+", "-", text.strip()).strip("-._")


# The name of a variant: a folder, and a repository of the registry on loopback. As a mapping's key it cannot
# be a type of its own.
VariantName = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^{COMPONENT}$(?!\s)",
        max_length=64,
        description="a variant's name: a-z, 0-9 and single . _ - between them, 64 at most",
    ),
]


class RelativePath(Text):
    """A file or a folder of the commit, from its top, in its shortest spelling."""

    kind = "path inside the repository: relative, with /, without .., and no option"
    example = "src/health-caretaker"
    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        plain = text and "//" not in text and ".." not in text.split("/")
        return cls(posixpath.normpath(text) if plain else text)

    @classmethod
    def accepts(cls, text: str) -> bool:
        parts = text.split("/")
        return (
            text.isprintable()
            and not text.startswith(("-", "~"))
            and "\\" not in text
            and not {"", ".."} & set(parts)
            and parts[0].lower() != ".git"
            and text == text.strip()
        )

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        if text and "://" not in text:
            yield posixpath.normpath(text.strip().replace("\\", "/")).lstrip("/")


class GoPackage(Text):
    """A package main of the module, as ``go build`` takes it."""

    kind = "Go package of the module: its folder, beginning with ./, or its import path"
    example = "./cmd/health-caretaker"
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        first = text.partition("/")[0]
        # Another first part without a dot is the standard library's. Wildcards name several packages.
        if "..." in text or not (first == "." or ("." in first and first != "..")):
            return False
        inside = text.removeprefix("./") or "."
        return RelativePath.accepts(inside) and not set(inside) & set(" \t@\"'")

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        bare = re.sub(r"/?\.\.\.$", "", text.strip().replace("\\", "/")).strip("/")
        yield bare
        yield f"./{posixpath.normpath(bare)}"


class LinkerSymbol(Pattern):
    """A variable of a Go program, as the linker's ``-X`` takes it."""

    kind = "Go variable: the import path of its package (main for the program's own), a dot and its name"
    example = "main.version"
    pattern = re.compile(r"(?:[A-Za-z0-9_~+][A-Za-z0-9_.~+-]*/)*[A-Za-z0-9_~+][A-Za-z0-9_.~+-]*\.[^\W\d]\w*")
    __slots__ = ()

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        bare = text.strip().removeprefix("-X").strip(" =\"'").partition("=")[0].strip()
        yield bare
        yield f"main.{bare}"


class GlibcVersion(Pattern):
    """A version of the GNU C library."""

    kind = "glibc version"
    example = '"2.36", with the quotes'
    pattern = re.compile(r"[0-9]\.[0-9]{1,2}")
    __slots__ = ()

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        if found := re.search(r"(?<![0-9.])([0-9]\.[0-9]{1,2})(?![0-9])", text):
            yield found[1]


class UserIds(Text):
    """Who an image runs as, by numbers: Kubernetes cannot tell whether a name is root's."""

    kind = "user: the numbers of a user and a group"
    example = '"65532:65532"'
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        found = re.fullmatch(r"(0|[1-9][0-9]{0,9}):(0|[1-9][0-9]{0,9})", text)
        return found is not None and max(int(found[1]), int(found[2])) <= _LAST_ID

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        yield text.strip()
        yield f"{text.strip()}:{text.strip()}"

    @property
    def is_root(self) -> bool:
        """Whether the user or the group is root's: its files and devices are open to the group, too."""
        return "0" in self.split(":")


class Line(Text):
    """Some words on one line, as labels and release pages show them."""

    kind = "line of text: not empty, without line breaks and control characters"
    example = "one line"
    __slots__ = ()

    @classmethod
    def accepts(cls, text: str) -> bool:
        return text.isprintable() and bool(text) and text == text.strip()

    @classmethod
    def guesses(cls, text: str) -> Iterator[str]:
        yield " ".join("".join(c if c.isprintable() else " " for c in text).split())


# Plain strings with limits, for values that are made in many places.
_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$(?!\s)"
PlainLine = Annotated[
    str, msgspec.Meta(pattern=_LINE, description="text on one line, without control characters")
]
Words = Annotated[
    str,
    msgspec.Meta(
        pattern=_LINE,
        min_length=3,
        description="words on one line, 3 letters at least, without control characters",
    ),
]
