"""Changes of a small image that must not matter; the expected files and configuration follow them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.attacks.drafts import JSON, PARTS, Draft, Item, Rng, gzipped, summed
from tests.unit.stations.imaged import (
    GNU,
    NAME,
    PAX,
    SECOND,
    USTAR,
    library,
    right_image,
)


def scribbled(rng: Rng, value: Any) -> str:
    """Write JSON with other white space, other escapes, and members in another order."""

    def gap() -> str:
        return rng.choice(["", "", " ", "\n", "\t", "\r\n  "])

    match value:
        case dict():
            members = list(value.items())
            rng.shuffle(members)
            inside = ",".join(
                f"{gap()}{scribbled(rng, k)}{gap()}:{gap()}{scribbled(rng, v)}{gap()}" for k, v in members
            )
            return f"{{{inside or gap()}}}"
        case list() | tuple():
            return f"[{','.join(gap() + scribbled(rng, v) + gap() for v in value) or gap()}]"
        case str():
            return f'"{"".join(escaped(rng, c) for c in value)}"'
        case _:
            return json.dumps(value)


def escaped(rng: Rng, char: str) -> str:
    """Write a character in one of the ways in which writers of JSON do."""
    ways = [json.dumps(char, ensure_ascii=False)[1:-1], json.dumps(char)[1:-1]]
    if char == "/":
        ways.append("\\/")
    if char in "<>&'=":
        ways.append(f"\\u{ord(char):04{rng.choice('xX')}}")
    return rng.choice(ways)


# What must not matter.


def whitespace(part: str) -> Callable[[Rng, Draft], None]:
    def change(rng: Rng, draft: Draft) -> None:
        seed = rng.getrandbits(32)
        ends = [rng.choice(["", "\n", " \t\n"]) for _ in range(2)]

        def encode(found: Any) -> bytes:
            again = random.Random(seed)  # noqa: S311
            return f"{ends[0]}{scribbled(again, found)}{ends[1]}".encode()

        draft.encoders[part] = encode

    return change


def ports(rng: Rng, draft: Draft) -> None:
    exposed: JSON = rng.choice([{}, {"8080/tcp": {}}, {"9091/tcp": {}}])
    draft.settings = {k: v for k, v in draft.settings.items() if k != "ExposedPorts"}
    own = [
        step for step in draft.steps or right_image().steps[2:] if not step["created_by"].startswith("EXPOSE")
    ]
    if exposed:
        draft.settings["ExposedPorts"] = exposed
        own.insert(1, own[-1] | {"created_by": f"EXPOSE [{' '.join(exposed)}]"})
    draft.steps = own


def health_check(rng: Rng, draft: Draft) -> None:
    check = draft.settings["Healthcheck"] | {
        "Interval": rng.randint(1, 59) * SECOND,
        "Timeout": rng.randint(1, 59) * SECOND,
        "StartPeriod": rng.randint(0, 59) * SECOND,
        "Retries": rng.randint(1, 10),
    }
    check = {key: value for key, value in check.items() if value}
    times = " ".join(
        f"{key}:{check.get(key, 0) // SECOND}s"
        for key in ("Interval", "Timeout", "StartPeriod", "StartInterval")
    )
    told = f"HEALTHCHECK {{Test:[CMD /{NAME} -healthcheck] {times} Retries:{check['Retries']}}}"
    own = draft.steps or list(right_image().steps[2:])
    draft.steps = [
        step | ({"created_by": told} if step["created_by"].startswith("HEALTHCHECK") else {}) for step in own
    ]
    draft.settings = draft.settings | {"Healthcheck": check}


def copied_from(rng: Rng, draft: Draft) -> None:
    own = draft.steps or list(right_image().steps[2:])
    told = rng.choice([f"COPY --chmod=0755 /out/{NAME} /{NAME} # buildkit", f"COPY bin /{NAME} # buildkit"])
    draft.steps = [
        step | ({"created_by": told} if step["created_by"].startswith("COPY") else {}) for step in own
    ]


def arguments(rng: Rng, draft: Draft) -> None:
    suite = rng.choice(["debian12", "debian13", "\u00e9\U0001f600", "\x7f\u2028"])
    draft.arguments.append(f"SUITE={suite}")


def compression(rng: Rng, draft: Draft) -> None:
    draft.pack = gzipped(rng)


def unmarked(_: Rng, draft: Draft) -> None:
    draft.marked = False


def top_name(rng: Rng, draft: Draft) -> None:
    name = rng.choice(["latest", "1.2.3", "\u00e9"])

    def change(found: JSON) -> JSON:
        named = found["manifests"][0] | {"annotations": {"org.opencontainers.image.ref.name": name}}
        return found | {"manifests": [named]}

    draft.values["top"].append(change)


def octal(rng: Rng, draft: Draft) -> None:
    """Write numbers of the program's header with other padding."""
    fields = [(100, 8), (108, 8), (116, 8), (124, 12), (136, 12)]
    at, length = rng.choice(fields)
    end = rng.choice([b"\0", b" ", b" \0"])

    def change(tar: bytes) -> bytes:
        digits = tar[at : at + length].rstrip(b"\0 ").lstrip(b"0") or b"0"
        tail = end if len(digits + end) <= length else b"\0"
        padded = digits if rng.random() < 0.5 else digits.rjust(length - len(tail), b"0")
        raw = bytearray(tar)
        raw[at : at + length] = (padded + tail).ljust(length, b"\0")
        return summed(raw)

    draft.top_tar.append(change)


def devices(rng: Rng, draft: Draft) -> None:
    numbers = rng.choice([b"\0" * 16, b"0000000\0" * 2, b"       \0" * 2, b"0000001\0" * 2])

    def change(tar: bytes) -> bytes:
        raw = bytearray(tar)
        raw[329:345] = numbers
        return summed(raw)

    draft.top_tar.append(change)


def order(rng: Rng, draft: Draft) -> None:
    """Write entries in another order; a folder may come after what is in it."""
    for number, items in enumerate(draft.layers):
        shuffled = rng.sample(items, len(items))
        links = [item for item in shuffled if item.kind == "hardlink"]
        draft.layers[number] = [item for item in shuffled if item.kind != "hardlink"] + links


def prefix(rng: Rng, draft: Draft) -> None:
    draft.prefix = rng.choice(["", "./"])


def tar_form(rng: Rng, draft: Draft) -> None:
    draft.forms = [rng.choice([GNU, PAX, USTAR]) for _ in draft.forms]


def padding(rng: Rng, draft: Draft) -> None:
    draft.padding = 512 * rng.randint(2, 40)


def owner_names(rng: Rng, draft: Draft) -> None:
    draft.layers = [[replace(i, name=rng.choice(["", "root", "0"])) for i in items] for items in draft.layers]


def finer_times(rng: Rng, draft: Draft) -> None:
    draft.forms = [PAX for _ in draft.forms]
    seconds = rng.randint(2, 10**9)
    records = {"mtime": f"{seconds}.{rng.randint(1, 9)}"}

    def finer(item: Item) -> Item:
        is_file = item.kind in ("file", "hardlink")
        return replace(item, records=records, mtime=seconds) if is_file else item

    draft.layers = [list(map(finer, items)) for items in draft.layers]


def long_name(rng: Rng, draft: Draft) -> None:
    draft.forms[0] = rng.choice([GNU, PAX])
    path = f"usr/share/{'n' * rng.randint(90, 200)}"
    draft.layers[0].append(Item(path=path, data=b"long", mtime=5))
    if rng.random() < 0.5:
        draft.layers[0].append(Item(path="etc/long", kind="symlink", mode=0o777, target=path))


def unicode_name(rng: Rng, draft: Draft) -> None:
    draft.forms[0] = rng.choice([GNU, PAX])
    name = rng.choice(["\u00e9", "e\u0301", "\u65e5", "a b", "x=y"])
    draft.layers[0].append(Item(path=f"usr/share/{name}", mtime=5))


def hard_link(_: Rng, draft: Draft) -> None:
    # A second layer may replace neither of them: see the random changes.
    target, path = "usr/lib/one-name", "usr/share/other-name"
    draft.layers[0].append(Item(path=target, data=b"linked", mtime=11))
    first = next(item for item in draft.layers[0] if item.path == target)
    draft.layers[0].append(replace(first, path=path, kind="hardlink", target=target, data=b""))


def second_layer(rng: Rng, draft: Draft) -> None:
    """Replace parts of the base in a layer above it."""
    choices = [
        Item(path="etc/passwd", data=b"root:x:0:0\nnonroot:x:65532:65532\n", mtime=9),
        Item(path="etc/passwd", kind="symlink", mode=0o777, target="../usr/share/empty"),
        Item(path="etc/alias", data=b"no link\n", mtime=9),
        Item(path="usr/share/empty", kind="dir", mode=0o755),
        Item(path="usr/share", data=b"no folder", mtime=9),
        Item(path="home/nonroot", kind="dir", mode=0o750, owner=65532),
        Item(path="usr/lib/libone.so.1", data=library("libone.so.1") + b"newer", mtime=9),
    ]
    # One layer holds no folder and a file in its place.
    draft.layers.append([rng.choice(choices[:3]), rng.choice(choices[3:5]), rng.choice(choices[5:])])
    draft.forms.append(rng.choice([GNU, PAX, USTAR]))


def missing_folders(_: Rng, draft: Draft) -> None:
    draft.layers[0].append(Item(path="srv/data/file", data=b"x", mtime=5))


HARMLESS: dict[str, Callable[[Rng, Draft], None]] = {
    **{f"JSON of the {part} written in another way": whitespace(part) for part in PARTS},
    "other ports": ports,
    "other times of the health check": health_check,
    "another COPY": copied_from,
    "more arguments": arguments,
    "another compression": compression,
    "a layer without its annotation": unmarked,
    "a name in index.json": top_name,
    "octal numbers with other padding": octal,
    "other device numbers": devices,
    "entries of the base in another order": order,
    "names of the base without ./": prefix,
    "another format of the base's tar": tar_form,
    "another end of the base's tar": padding,
    "names of owners in the base": owner_names,
    "finer times in the base": finer_times,
    "a long name in the base": long_name,
    "a name in Unicode in the base": unicode_name,
    "a hard link in the base": hard_link,
    "a second layer in the base": second_layer,
    "folders that the base does not name": missing_folders,
}
