"""Read a YAML file into a value, strictly: what cannot be used is named with its line."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import yaml

from sealift.errors import UsageError
from sealift.model.codec import dec_hook

T = TypeVar("T")
Step = str | int


def load_yaml(path: Path, kind: type[T]) -> T:
    """Read one YAML file; a file without content is an empty list.

    Raises UsageError with the file, the line and, for a key that is not known, the nearest one that is.
    """
    try:
        text = path.read_text(encoding="utf-8")
        raw = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(f"{path} cannot be read: {err}") from err
    except yaml.YAMLError as err:
        raise UsageError(f"{path} is not YAML: {err}") from err
    try:
        return msgspec.convert([] if raw is None else raw, kind, dec_hook=dec_hook)
    except msgspec.ValidationError as err:
        raise _explain(path, text, kind, str(err)) from err


def _explain(path: Path, text: str, kind: Any, message: str) -> UsageError:
    """Say where: msgspec gives a path such as ``$.go[0].affected``."""
    found = re.search(r"`\$([^`]*)`$", message)
    steps = _steps(found.group(1)) if found else []
    unknown = re.search(r"unknown field `([^`]+)`", message)
    if unknown is None:
        return UsageError(f"{path}:{_line(text, steps)}: {message}")
    key = unknown.group(1)
    known = _fields(kind, steps)
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"perhaps you meant {near[0]}" if near else "known here: " + ", ".join(known)
    return UsageError(f"{path}:{_line(text, [*steps, key])}: unknown key {key}", next_step=hint)


def _steps(place: str) -> list[Step]:
    return [
        int(index) if index else name for name, index in re.findall(r"\.([A-Za-z_][\w-]*)|\[(\d+)\]", place)
    ]


def _fields(kind: Any, steps: list[Step]) -> list[str]:
    """Return the names that the struct at this place knows."""
    for step in steps:
        if isinstance(step, int):
            kind = kind.__args__[0]
        else:
            kind = next(f.type for f in msgspec.structs.fields(kind) if f.name == step)
    return [field.encode_name for field in msgspec.structs.fields(kind)]


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
