"""What is wrong in a YAML file that is to become a value: where, and what was probably meant."""

from __future__ import annotations

import difflib
import itertools
import types
import typing
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import yaml

from sealift.errors import UsageError
from sealift.model.codec import convert
from sealift.model.names import Text

Step = str | int
Place = tuple[Step, ...]

# What is longer is no number, date or truth value that only stands in quotes.
_LONGEST_WORD = 40
# Problems that are looked for: an unknown key takes a third of a millisecond.
_MOST = 100
_MERGE = "tag:yaml.org,2002:merge"
_NAMES: dict[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    date: "a date",
    list: "a list",
    tuple: "a list",
    dict: "a mapping of keys",
    type(None): "nothing",
}
_EXAMPLES: dict[type, str] = {bool: "true", int: "30", float: "30", date: "2026-12-31"}
_TRUTH = {**dict.fromkeys(("yes", "on"), "true"), **dict.fromkeys(("no", "off"), "false")}


class Problem(NamedTuple):
    """One thing that is wrong: the keys that lead to it, the words, and what is right.

    ``keyed`` tells that the words do not name the key.
    """

    place: Sequence[Step]
    words: str
    hint: str = ""
    keyed: bool = True


def keys(place: Sequence[Step]) -> str:
    """Write a place as ``variants.static.repository``, ``platforms[1]``."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(parts).removeprefix(".")


class Lines:
    """A file's tree, asked where things are and how they are written."""

    def __init__(self, root: yaml.Node | None) -> None:
        self._root = root

    def line(self, place: Sequence[Step]) -> int:
        """Return the 1-based line of the innermost part of a place that exists."""
        found = [begin.start_mark.line + 1 for begin, _ in self._walk(place)]
        return found[-1] if found else 1

    def written(self, place: Sequence[Step]) -> str | None:
        """Return a single value as it stands in the file, before YAML made a number or a date of it."""
        nodes = [node for _, node in self._walk(place)]
        whole = place and len(nodes) == len(place)
        return str(nodes[-1].value) if whole and isinstance(nodes[-1], yaml.ScalarNode) else None

    def _walk(self, place: Sequence[Step]) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Yield for each step where it begins, and its value."""
        node = self._root
        for step in place:
            if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                begin = node = node.value[step]
            elif isinstance(node, yaml.MappingNode):
                # What was merged in (<<) stands before a mapping's own keys.
                pair = next((p for p in reversed(node.value) if str(p[0].value) == step), None)
                if pair is None:
                    return
                begin, node = pair
            else:
                return
            yield begin, node


def repeated_keys(root: yaml.Node | None) -> Iterator[Problem]:
    """Find keys that a mapping has twice: YAML would take the last one without a word."""
    for node, place in _nodes(root):
        if not isinstance(node, yaml.MappingNode):
            continue
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if key.value in first:
                words = f"the key is there twice, first in line {first[key.value]}"
                yield Problem((*place, key.value), words, "keep one of the two")
            first.setdefault(key.value, key.start_mark.line + 1)


def unreadable(root: yaml.Node | None) -> Iterator[Problem]:
    """Find the values that have the form of a date or a number, and are none: 2026-02-30."""
    for node, place in _nodes(root):
        if isinstance(node, yaml.ScalarNode):
            try:
                yaml.SafeLoader("").construct_document(node)
            except (yaml.YAMLError, ValueError, OverflowError) as err:
                yield Problem(place, f"{node.value} cannot be read: {err}")


def _nodes(root: yaml.Node | None) -> Iterator[tuple[yaml.Node, Place]]:
    """Walk a tree, each node once: an anchor may be inside itself."""
    todo: list[tuple[yaml.Node, Place]] = [] if root is None else [(root, ())]
    known: set[int] = set()
    while todo:
        node, place = todo.pop()
        if id(node) in known:
            continue
        known.add(id(node))
        yield node, place
        if isinstance(node, yaml.SequenceNode):
            todo += [(child, (*place, number)) for number, child in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            todo += [(value, (*place, str(key.value))) for key, value in node.value]


def problems(raw: Any, kind: Any, lines: Lines) -> list[Problem]:
    """Return everything that keeps a value from being of a type, part by part."""
    return list(itertools.islice(_problems(raw, kind, (), lines), _MOST))


def _problems(raw: Any, whole: Any, place: Place, lines: Lines) -> Iterator[Problem]:
    """Yield what is wrong in the parts; only where nothing is, what is wrong with the whole."""
    kind, optional = _plain(whole)
    if raw is None and optional:
        return
    found = list(_parts(raw, kind, place, lines))
    yield from found
    if found:
        return
    try:
        convert(raw, whole)
    except msgspec.ValidationError as err:
        # msgspec's words about a value that is whole: its own rule, or too few entries.
        fits = isinstance(raw, (dict, list)) and _fits(raw, kind)
        own = "there must be at least one" if not raw else str(err)
        words, hint = (own, "") if fits else _single(raw, whole, place, lines)
        yield Problem(place, words, hint)


def _parts(raw: Any, kind: Any, place: Place, lines: Lines) -> Iterator[Problem]:
    if isinstance(raw, dict) and _is_struct(kind):
        yield from _fields(raw, kind, place, lines)
    elif isinstance(raw, dict) and typing.get_origin(kind) is dict:
        name, item = typing.get_args(kind)
        for key, value in raw.items():
            yield from _problems(key, name, (*place, str(key)), Lines(None))
            yield from _problems(value, item, (*place, str(key)), lines)
    elif isinstance(raw, list) and typing.get_origin(kind) is tuple:
        for number, value in enumerate(raw):
            yield from _problems(value, typing.get_args(kind)[0], (*place, number), lines)


def _fields(raw: dict[Any, Any], kind: type[msgspec.Struct], place: Place, lines: Lines) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    missing = {name for name, field in fields.items() if field.required} - set(raw)
    for key, value in raw.items():
        if key in fields:
            yield from _problems(value, fields[key].type, (*place, key), lines)
            continue
        near = difflib.get_close_matches(str(key), fields, n=1)
        missing -= set(near)
        hint = f"perhaps you meant {near[0]}" if near else f"known here: {', '.join(fields)}"
        where = f" in {keys(place)}" if place else ""
        yield Problem((*place, str(key)), f"unknown key {key}{where}", hint, keyed=False)
    for name in fields:
        if name in missing:
            yield Problem(place, f"the key {name} is missing")


def _single(raw: Any, whole: Any, place: Place, lines: Lines) -> tuple[str, str]:
    """Say what is wrong with a value that has no parts, or is of another form altogether."""
    kind, _ = _plain(whole)
    key = next((step for step in reversed(place) if isinstance(step, str)), "")
    written = lines.written(place)
    shown = repr(raw if written is None else written)
    if isinstance(kind, type) and issubclass(kind, str):
        return _text(raw, kind, key, written, _limits(whole))
    if typing.get_origin(kind) is Literal:
        choices = {str(choice).lower(): str(choice) for choice in typing.get_args(kind)}
        near = difflib.get_close_matches(str(written).lower(), choices, n=1)
        hint = f"perhaps {choices[near[0]]}" if near else ""
        return f"{shown} is not one of {', '.join(choices.values())}", hint
    wanted = "a mapping of keys" if _is_struct(kind) else _NAMES.get(typing.get_origin(kind) or kind, "else")
    if raw == [] and not place:
        return f"there is nothing in it where {wanted} is wanted", ""
    if isinstance(raw, str) and kind in _EXAMPLES:
        return f"{shown} is text, not {wanted}", f"write {key}: {_unquoted(raw, whole)}"
    if kind in _EXAMPLES and _fits(raw, kind):
        return f"{shown} is out of range: it must be {_limits(whole)}", ""
    return f"{_NAMES.get(type(raw), 'something else')} where {wanted} is wanted", ""


def _text(raw: Any, kind: type[str], key: str, written: str | None, limits: str) -> tuple[str, str]:
    own = kind if issubclass(kind, Text) else None
    if not isinstance(raw, str):
        words = f"{_NAMES.get(type(raw), 'something else')} where text is wanted"
        if written is None or raw is None:
            return words, f"write it as {own.example}" if own else ""
        # YAML takes more for numbers, dates and truth values than people do.
        right = own.corrected(written) if own else None
        return f"{words}: {written}", f'write {key}: "{right or written}"'
    if own is None:
        return f"{raw!r} is not {limits}", ""
    try:
        own.parse(raw)
    except UsageError as err:
        right = own.corrected(raw)
        return err.happened, f"write {key}: {_quoted(right)}" if right else err.next_step
    return f"{raw!r} is not a {own.kind}", ""


def _quoted(text: str) -> str:
    """Put quotes around what YAML would not take for text."""
    try:
        return text if yaml.safe_load(text) == text else f'"{text}"'
    except (yaml.YAMLError, ValueError):
        return f'"{text}"'


def _unquoted(raw: str, whole: Any) -> str:
    kind, _ = _plain(whole)
    if len(raw) > _LONGEST_WORD:
        return _EXAMPLES[kind]
    word = _TRUTH.get(raw.lower(), raw.strip()) if kind is bool else raw.strip()
    try:
        convert(yaml.safe_load(word), whole)
    except (yaml.YAMLError, ValueError):
        return _EXAMPLES[kind]
    return word


def _limits(whole: Any) -> str:
    """Say which values of a type may be used."""
    words = []
    for meta in (m for m in typing.get_args(whole) if isinstance(m, msgspec.Meta)):
        words += [meta.description] if meta.description else []
        named = ("above", meta.gt), ("at least", meta.ge), ("below", meta.lt), ("at most", meta.le)
        words += [f"{name} {limit}" for name, limit in named if limit is not None]
        if meta.min_length:
            words.append(f"at least {meta.min_length} long")
        if meta.pattern and not meta.description:
            words.append(f"of the form {meta.pattern}")
    return " and ".join(words) or "what is wanted"


def _fits(raw: Any, kind: Any) -> bool:
    """Tell whether a value is of a type without its limits, or would be with other parts."""
    if isinstance(raw, dict):
        return _is_struct(kind) or typing.get_origin(kind) is dict
    if isinstance(raw, list):
        return typing.get_origin(kind) is tuple
    return isinstance(raw, kind) or (kind is float and type(raw) is int)


def _is_struct(kind: Any) -> typing.TypeGuard[type[msgspec.Struct]]:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _plain(kind: Any) -> tuple[Any, bool]:
    """Return a type without its limits, and whether None may stand for it."""
    while typing.get_origin(kind) is Annotated:
        kind = typing.get_args(kind)[0]
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        one = next(k for k in typing.get_args(kind) if k is not type(None))
        return _plain(one)[0], True
    return kind, False
