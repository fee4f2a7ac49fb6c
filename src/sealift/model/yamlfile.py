"""Read a YAML file into a value, strictly: everything that cannot be used is named with its line and key."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from sealift.errors import UsageError
from sealift.model.codec import convert, read_file
from sealift.model.yamlproblems import Lines, Problem, keys, problems, repeated_keys, unreadable

# libyaml's where the package was built with it: ten times as fast, and as strict.
_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# How many problems an error shows: one wrong indentation may be the cause of many.
_MOST_NAMED = 20
# A whole configuration has a few kilobytes, a few hundred values, and six levels.
MOST_BYTES, MOST_VALUES, MOST_DEPTH = 1 << 20, 20_000, 64
_MOST_WORDS = 600
T = TypeVar("T")
# Looks at a value of the right types: what its parts say together.
Check = Callable[[T], Iterable[Problem]]


def load_yaml(path: Path, kind: type[T], *, check: Check[T] | None = None) -> T:
    """Read one YAML file; a file without content is an empty list or mapping.

    Raises UsageError with the file, the line and the key of everything that is wrong, and what is right.
    """
    try:
        text = read_file(path, MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise UsageError(f"{path} cannot be read: {err}") from err
    return parse_yaml(text, path, kind, check=check)


def parse_yaml(text: str, path: Path, kind: type[T], *, check: Check[T] | None = None) -> T:
    """Read YAML text as ``load_yaml`` reads a file; ``path`` is for messages."""
    root, raw = _composed(text, path)
    if root is None:
        raw = {} if typing.get_origin(kind) is dict else []
    lines = Lines(root)
    try:
        value = convert(raw, kind)
    except msgspec.ValidationError as err:
        raise _error(path, problems(raw, kind, lines), lines) from err
    if check is not None and (found := list(check(value))):
        raise _error(path, found, lines)
    return value


def _composed(text: str, path: Path) -> tuple[yaml.Node | None, Any]:
    """Return the tree, which knows its lines, and its value."""
    loader, root = None, None
    try:
        _check_size(text, path)
        loader = _LOADER(text)
        root = loader.get_single_node()
        # Before merged keys (<<) are put beside a mapping's own, which may be the same.
        if found := list(repeated_keys(root)):
            raise _error(path, found, Lines(root))
        return root, None if root is None else loader.construct_document(root)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        where = path if mark is None else f"{path}:{mark.line + 1}"
        words = getattr(err, "problem", None) or " ".join(str(err).split())
        raise UsageError(f"{where}: not YAML: {words}") from err
    except (ValueError, OverflowError, RecursionError) as err:
        found = list(unreadable(root)) or [Problem((), f"cannot be read: {err}")]
        raise _error(path, found, Lines(root)) from err
    finally:
        if loader is not None:
            loader.dispose()


def _check_size(text: str, path: Path) -> None:
    """Count values, with all that aliases stand for, before anything is made of them.

    libyaml's composer calls itself for each level and ends the process where the stack does.
    """
    loader: Any = _LOADER(text)
    try:
        anchors: dict[str | None, int] = {}
        opened: list[tuple[str | None, int]] = []
        count = 0
        while not loader.check_event(yaml.StreamEndEvent):
            event = loader.get_event()
            match event:
                case yaml.AliasEvent():
                    # One inside its own anchor has no size.
                    count += anchors.get(event.anchor, 0)
                case yaml.CollectionStartEvent():
                    opened.append((event.anchor, count))
                    count += 1
                case yaml.CollectionEndEvent():
                    anchor, before = opened.pop()
                    if anchor:
                        anchors[anchor] = count - before
                case yaml.ScalarEvent():
                    count += 1
                    if event.anchor:
                        anchors[event.anchor] = 1
            if count > MOST_VALUES or len(opened) > MOST_DEPTH:
                most = f"{MOST_VALUES} values" if count > MOST_VALUES else f"{MOST_DEPTH} levels"
                raise UsageError(
                    f"{path}:{event.start_mark.line + 1}: more than {most}, counting what aliases stand for",
                    means="no configuration is so large; it was made to keep its readers busy",
                    next_step=f"correct {path}",
                )
    finally:
        loader.dispose()


def _error(path: Path, found: Sequence[Problem], lines: Lines) -> UsageError:
    told = []
    for one in found[:_MOST_NAMED]:
        key = f"{keys(one.place)}: " if one.keyed and one.place else ""
        told.append(_shortened(f"{path}:{lines.line(one.place)}: {key}{one.words}"))
    if len(found) == 1:
        return UsageError(told[0], next_step=_shortened(found[0].hint))
    told = [
        f"{words}; {_shortened(one.hint)}" if one.hint else words
        for words, one in zip(told, found, strict=False)
    ]
    left_out = [f"... and {len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else []
    return UsageError("\n".join([*told, *left_out]), next_step=f"correct {path}")


def _shortened(words: str) -> str:
    return words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]}..."
