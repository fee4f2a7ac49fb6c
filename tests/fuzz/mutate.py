"""Change samples as attackers and accidents do: bits, cuts, splices, and the structure of JSON and tar."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

MOST = 1 << 17
_TOKENS = (
    *(
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\r\n",
        b"\n\n",
        b"..",
        b"/",
        b'"',
        b"%00",
        b"\x1b[2J",
    ),
    *(
        b"-1",
        b"0",
        b"9" * 30,
        b"1e999",
        b"NaN",
        b"null",
        b"true",
        b"9" * 5000,
        b"\\ud800",
        b"http://[",
        b":65536",
    ),
    *(
        b"[" * 3000,
        b'{"a":' * 3000,
        b"- " * 3000,
        b"&a [*a]",
        b"<<: *a",
        b"!!python/object:os.x {}",
        b"a" * 9000,
    ),
)
_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        2**31,
        2**63,
        2**200,
        1e308,
        0.5,
        "",
        "\0",
        "\ud800",
        "http://[",
        "a" * 5000,
        "../../x",
    ),
    *([], {}, [[]], [None], {"": None}, [{}], {"a": {"b": []}}),
)
_NUMBER = re.compile(rb"[0-9]+")
Mutation = Callable[[bytes, Random], bytes]


def mutated(data: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """Return a sample with one to four changes; some are spliced with another sample."""
    for _ in range(random.randint(1, 4)):
        data = random.choice(_MUTATIONS)(data, random)
    if others and random.random() < 0.1:
        other = random.choice(others)
        data = data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]
    return (resummed(data) if random.random() < 0.7 else data)[:MOST]


def resummed(data: bytes) -> bytes:
    """Write the sums of all headers of a tar anew, so that a reader looks at what else is in them."""
    new = bytearray(data)
    for at in range(0, len(new) - 511, 512):
        if new[at + 257 : at + 262] == b"ustar":
            new[at + 148 : at + 156] = b" " * 8
            new[at + 148 : at + 156] = b"%06o\0 " % sum(new[at : at + 512])
    return bytes(new)


def _flip(data: bytes, random: Random) -> bytes:
    if not data:
        return data
    new = bytearray(data)
    for _ in range(random.randint(1, 4)):
        new[random.randrange(len(new))] ^= 1 << random.randrange(8)
    return bytes(new)


def _piece(data: bytes, random: Random) -> tuple[int, int]:
    begin = random.randint(0, len(data))
    return begin, min(len(data), begin + random.choice((1, 2, 4, 8, 64, 512, 4096)))


def _cut(data: bytes, random: Random) -> bytes:
    begin, end = _piece(data, random)
    return data[:begin] + (data[end:] if random.random() < 0.7 else b"")


def _repeat(data: bytes, random: Random) -> bytes:
    begin, end = _piece(data, random)
    return data[:end] + data[begin:end] * random.choice((1, 2, 50)) + data[end:]


def _insert(data: bytes, random: Random) -> bytes:
    at, end = _piece(data, random)
    return data[:at] + random.choice(_TOKENS) + data[end if random.random() < 0.5 else at :]


def _overwrite(data: bytes, random: Random) -> bytes:
    """Put an extreme number in the place of a size, a count or an offset."""
    size, form = random.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    most = 2 ** (8 * size)
    number = random.choice(
        (0, 1, most - 1, most // 2, most // 2 - 1, len(data) % most, random.randrange(most))
    )
    at = random.randint(0, max(0, len(data) - size))
    return data[:at] + struct.pack(random.choice("<>") + form, number) + data[at + size :]


def _number(data: bytes, random: Random) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return data
    one = random.choice(found)
    return (
        data[: one.start()]
        + random.choice((b"0", b"-1", b"9" * 19, b"9" * 400, b"1e9", b"08"))
        + data[one.end() :]
    )


def _line(data: bytes, random: Random) -> bytes:
    """Move, repeat or leave out a line."""
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    one = random.choice(lines)
    lines.insert(random.randrange(len(lines)), one)
    if random.random() < 0.5:
        lines.remove(one)
    return b"".join(lines)


def _json(data: bytes, random: Random) -> bytes:
    """Change one value or one key of JSON, or write a member twice."""
    try:
        root = [json.loads(data)]
    except (ValueError, RecursionError):
        return data
    places = list(_places(root))
    holder, key = random.choice(places)
    match random.randrange(5):
        case 0 | 1:
            holder[key] = random.choice(_VALUES)
        case 2:
            other, name = random.choice(places)
            holder[key] = json.loads(json.dumps(other[name]))
        case 3 if isinstance(holder, dict):
            value = holder.pop(key)
            if random.random() < 0.7:
                holder[random.choice((key.upper(), key.title(), f"{key} ", "x"))] = value
        case 4:
            text = json.dumps(root[0])
            member = f"{json.dumps(key)}: "
            return text.replace(member, f"{member}1, {member}", 1).encode() if isinstance(key, str) else data
    return json.dumps(root[0]).encode()


def _places(root: Any) -> Any:
    todo = [root]
    while todo:
        holder = todo.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield holder, key
            if isinstance(holder[key], (dict, list)):
                todo.append(holder[key])


_MUTATIONS: tuple[Mutation, ...] = (
    _flip,
    _cut,
    _repeat,
    _insert,
    _overwrite,
    _number,
    _line,
    _json,
    _json,
    _json,
)
