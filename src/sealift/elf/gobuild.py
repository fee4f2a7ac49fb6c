"""With which settings Go built a program, as Go's linker wrote them into it; nothing is started.

The form is that of debug/buildinfo since Go 1.18: https://go.dev/src/debug/buildinfo/buildinfo.go
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from sealift.errors import UsageError
from sealift.tools.gobinary import BuildInfo, parse_build_info

MAGIC = b"\xff Go buildinf:"
# After the magic: the size of a pointer, flags, and zeros up to this offset.
_STRINGS, _INLINE = 32, 2
_LONGEST_NUMBER = 10
_SETTING = re.compile(r"^build\t([^=\t\n]+)=(.*)$", re.MULTILINE)


def build_settings(data: bytes) -> Mapping[str, str]:
    """Return settings such as GOAMD64; nothing for a program that Go did not build, or an older Go."""
    _, text = build_text(data)
    return {name: value.strip('"') for name, value in _SETTING.findall(text)}


def build_text(data: bytes) -> tuple[str, str]:
    """Return Go's version, and the lines that name modules and settings; both empty where there are none."""
    at = data.find(MAGIC)
    while at >= 0:
        if len(data) > at + _STRINGS and data[at + len(MAGIC) + 1] & _INLINE:
            version, end = _string(data, at + _STRINGS)
            modules, _ = _string(data, end)
            # 16 bytes of a mark stand before and after it.
            text = modules[16:-16].decode(errors="replace")
            if _SETTING.search(text):
                return version.decode(errors="replace"), text
        at = data.find(MAGIC, at + 1)
    return "", ""


def build_info_of(program: bytes, name: str) -> BuildInfo:
    """Read what ``go version -m`` would, without Go; a program that Go did not make raises UsageError."""
    version, text = build_text(program)
    if not version:
        raise UsageError(f"{name} has no Go build info", means="it was not built by Go, or is damaged")
    found: dict[str, Any] = {"GoVersion": version, "Deps": [], "Settings": []}
    for line in filter(None, text.splitlines()):
        match line.split("\t", 3):
            case ["path", path]:
                found["Path"] = path
            case ["mod", *named]:
                found["Main"] = _named(named)
            case ["dep", *named]:
                found["Deps"].append(_named(named))
            case ["=>", *named] if found["Deps"]:
                found["Deps"][-1]["Replace"] = _named(named)
            case ["build", setting]:
                key, _, value = setting.partition("=")
                found["Settings"].append({"Key": key, "Value": value.strip('"')})
            case _:
                raise UsageError(f"{name} has a line in its build info that Go does not write: {line!r}")
    return parse_build_info(json.dumps(found).encode(), name)


def _named(parts: list[str]) -> dict[str, str]:
    return dict(zip(("Path", "Version", "Sum"), parts, strict=False))


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """Read a string after its length, and return where it ends."""
    length = shift = 0
    # Go writes ten bytes at most; a number of a million bytes would take minutes.
    for byte in data[at : at + _LONGEST_NUMBER]:
        at, length, shift = at + 1, length | (byte & 0x7F) << shift, shift + 7
        if not byte & 0x80:
            break
    return data[at : at + length], at + length
