"""A Go module by one name, however build info, a package URL, a list or a scanner writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

# How a module's path is written in file names and in the proxy's addresses: !burnt!sushi.
_ESCAPED = re.compile(r"!([a-z])")
# What GOEXPERIMENT adds to Go's version; before Go 1.26 after a space.
_EXPERIMENTS = re.compile(r"(?: |-)X:.*")


@dataclass(frozen=True, order=True)
class GoModule:
    """A module's path, with its capitals, and its version; that is empty where nothing tells it.

    Two are equal when they are the same code for Go: https://go.dev/ref/mod#module-path
    """

    path: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.path}@{self.version}"

    @classmethod
    def of(cls, path: str, version: str | None = None) -> Self:
        """Read a path and a version in any of their notations."""
        version = "" if version is None or version == "(devel)" else version
        return cls(_ESCAPED.sub(lambda found: found[1].upper(), path.strip("/")), version)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` writes."""
        path, _, version = text.partition("@")
        return cls.of(path, version)

    @classmethod
    def stdlib(cls, go_version: str) -> Self:
        """Name the standard library of a Go, ``go1.26.8``."""
        return cls("stdlib", _EXPERIMENTS.sub("", go_version).replace("go", "v", 1))
