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
# A whole configuration has a few kilobytes, a few hundred values, and six levels. Deeper ones end the
# interpreter, and aliases of aliases its memory.
MOST_BYTES, MOST_VALUES, MOST_DEPTH = 1 << 20, 20_000, 32
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
    """Refuse a tree that is too deep or, with every alias written out, too large, before it is made."""
    sizes: dict[str, tuple[int, int]] = {}
    # Of each list and mapping around the current place: its anchor, and how many values it has, how deep.
    around: list[tuple[str | None, list[int]]] = [(None, [0, 0])]
    for event in yaml.parse(text, Loader=_LOADER):
        mark = event.start_mark
        where = path if mark is None else f"{path}:{mark.line + 1}"
        match event:
            case yaml.CollectionStartEvent():
                around.append((event.anchor, [1, 1]))
                size, depth = 0, 0
            case yaml.CollectionEndEvent():
                anchor, (size, depth) = around.pop()
                if anchor is not None:
                    sizes[anchor] = size, depth
            case yaml.AliasEvent():
                if event.anchor in {anchor for anchor, _ in around}:
                    words = f"*{event.anchor} stands inside &{event.anchor}, so it would have no end"
                    raise UsageError(f"{where}: {words}")
                size, depth = sizes.get(event.anchor or "", (1, 0))
            case yaml.ScalarEvent():
                size, depth = 1, 0
            case _:
                continue
        whole = around[-1][1]
        whole[0], whole[1] = whole[0] + size, max(whole[1], depth + 1)
        if len(around) + whole[1] > MOST_DEPTH or whole[0] > MOST_VALUES:
            raise UsageError(
                f"{where}: more than {MOST_DEPTH} levels or {MOST_VALUES} values, with"
                " every alias written out",
                means="a short file of aliases can fill the memory of what reads it",
                next_step="write the values themselves, without aliases of aliases",
            )


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
