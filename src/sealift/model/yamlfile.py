"""Read a YAML file into a value, strictly: what cannot be used is named with its line."""

from __future__ import annotations

import difflib
import re
import typing
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import msgspec
import yaml

from sealift.errors import UsageError
from sealift.model.codec import convert

# libyaml's where the package was built with it: ten times as fast, and as strict.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
T = TypeVar("T")
Step = str | int


def load_yaml(path: Path, kind: type[T]) -> T:
    """Read one YAML file; a file without content is an empty list.

    Raises UsageError with the file, the line and, for a key that is not known, the nearest one that is.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(f"{path} cannot be read: {err}") from err
    return parse_yaml(text, path, kind)


def parse_yaml(text: str, path: Path, kind: type[T]) -> T:
    """Read YAML text as ``load_yaml`` reads a file; ``path`` is for messages."""
    try:
        raw = yaml.load(text, Loader=_LOADER)  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as err:
        raise UsageError(f"{path} is not YAML: {err}") from err
    try:
        return _convert([] if raw is None else raw, kind)
    except msgspec.ValidationError as err:
        raise _explain(path, text, raw, kind, str(err)) from err


def _convert(raw: Any, kind: type[T]) -> T:
    return convert(raw, kind)


def _explain(path: Path, text: str, raw: Any, kind: Any, message: str) -> UsageError:
    """Say where: msgspec gives a path such as ``$.go[0].affected``, with ``[...]`` for a mapping's key."""
    found = re.search(r"`\$([^`]*)`$", message)
    steps, holder = _follow(found.group(1) if found else "", raw, kind)
    unknown = re.search(r"unknown field `([^`]+)`", message)
    if unknown is None:
        return UsageError(f"{path}:{_line(text, steps)}: {message}")
    key = unknown.group(1)
    known = [field.encode_name for field in msgspec.structs.fields(holder)]
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"perhaps you meant {near[0]}" if near else "known here: " + ", ".join(known)
    return UsageError(f"{path}:{_line(text, [*steps, key])}: unknown key {key}", next_step=hint)


def _follow(place: str, raw: Any, kind: Any) -> tuple[list[Step], Any]:
    """Return the steps to a place, and what should be there."""
    steps: list[Step] = []
    for name, index in re.findall(r"\.([A-Za-z_][\w-]*)|\[(\d+|\.{3})\]", place):
        step: Step
        if name:
            step, kind = name, next(f.type for f in msgspec.structs.fields(kind) if f.encode_name == name)
        elif index == "...":
            kind = typing.get_args(kind)[1]
            step = _first_wrong(raw, kind)
        else:
            step, kind = int(index), typing.get_args(kind)[0]
        while typing.get_origin(kind) is Annotated:
            kind = typing.get_args(kind)[0]
        steps.append(step)
        raw = raw[step]
    return steps, kind


def _first_wrong(raw: dict[str, Any], kind: Any) -> str:
    """Return the key whose value is the first that cannot be read: msgspec names it not."""
    for key, value in raw.items():
        try:
            _convert(value, kind)
        except msgspec.ValidationError:
            return key
    return next(iter(raw))


def _line(text: str, steps: list[Step]) -> int:
    """Return the 1-based line of the innermost place that exists."""
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for step in steps:
        match node, step:
            case yaml.SequenceNode(), int():
                node = cast("yaml.Node", node.value[step])
                line = node.start_mark.line + 1
            case yaml.MappingNode(), str():
                pair = next((pair for pair in node.value if pair[0].value == step), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line + 1, pair[1]
            case _:
                break
    return line
