"""Changes of a small image: those that must not matter, those that must, and those of any kind.

What must not matter changes the expected files and configuration where it should. What must matter is taken
from the attacks on the image stage.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.attacks.catalogue import catalogue
from tests.attacks.drafts import JSON, PARTS, Draft, Item, Rng, gzipped
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
    records = {"mtime": f"{rng.randint(2, 10**9)}.{rng.randint(1, 9)}"}
    draft.layers = [
        [
            replace(i, records=records, mtime=int(float(records["mtime"]))) if i.kind == "file" else i
            for i in items
        ]
        for items in draft.layers
    ]


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
    draft.layers.append(rng.sample(choices[:3], 1) + rng.sample(choices[3:], rng.randint(0, 2)))
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


# Anything at all.


def summed(raw: bytearray) -> bytes:
    """Write the sum of the first header anew."""
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


def bytes_of_document(part: str) -> Callable[[Rng, Draft], None]:
    def change(rng: Rng, draft: Draft) -> None:
        seed, encode = rng.getrandbits(32), draft.encoders.get(part)

        def damage(found: Any) -> bytes:
            again = random.Random(seed)  # noqa: S311
            raw = bytearray(encode(found) if encode else json.dumps(found).encode())
            for _ in range(again.randint(1, 2)):
                at = again.randrange(len(raw))
                raw[at] = again.choice([raw[at] ^ 1 << again.randrange(8), 0x20, again.randrange(256)])
            return bytes(raw)

        draft.encoders[part] = damage

    return change


def rights_of_hard_link(rng: Rng, draft: Draft) -> None:
    """Let a hard link carry other rights than its file: an engine gives them to the file."""
    link = Item(path="etc/more", kind="hardlink", target="etc/passwd")
    changes: list[JSON] = [{"mode": 0o4755}, {"mode": 0o666}, {"owner": 65532}]
    draft.layers[0].append(replace(link, **rng.choice(changes)))


def other_layer_on_hard_link(rng: Rng, draft: Draft) -> None:
    """Replace one name of a file that has two, or its folder."""
    draft.layers[0].append(Item(path="etc/more", kind="hardlink", target="etc/passwd"))
    places = ["etc/more", "etc/passwd", "etc"]
    draft.layers.append([Item(path=rng.choice(places), data=b"newer", mtime=12)])
    draft.forms.append(PAX)


def plain_escape(part: str) -> Callable[[Rng, Draft], None]:
    """Write a character by its number that every writer of JSON writes as it is."""

    def change(rng: Rng, draft: Draft) -> None:
        seed = rng.getrandbits(32)

        def escape(found: Any) -> bytes:
            again = random.Random(seed)  # noqa: S311
            raw = json.dumps(found)
            places = [at for at, char in enumerate(raw) if char.isalnum() and raw[at - 1] != "\\"]
            at = again.choice([at for at in places if raw[:at].count('"') % 2])
            return f"{raw[:at]}\\u{ord(raw[at]):04x}{raw[at + 1 :]}".encode()

        draft.encoders[part] = escape

    return change


def bytes_of_header(rng: Rng, draft: Draft) -> None:
    at, value = rng.randrange(512), rng.randrange(256)

    def change(tar: bytes) -> bytes:
        raw = bytearray(tar)
        raw[at] = value
        return summed(raw)

    draft.top_tar.append(change)


def bytes_of_base(rng: Rng, draft: Draft) -> None:
    block, at, value = (
        rng.randrange(8),
        rng.randrange(512),
        rng.choice([0, 32, 48, 49, 55, rng.randrange(256)]),
    )

    def change(tar: bytes) -> bytes:
        raw = bytearray(tar)
        start = block * 512
        raw[start + at] = value
        return bytes(raw[:start]) + summed(raw[start : start + 512]) + bytes(raw[start + 512 :])

    draft.base_tar.append(change)


def bytes_of_gzip(rng: Rng, draft: Draft) -> None:
    at, value = rng.randrange(12), rng.randrange(256)

    def change(blob: bytes) -> bytes:
        return blob[:at] + bytes([value]) + blob[at + 1 :]

    draft.top_blob.append(change)


def after_gzip(rng: Rng, draft: Draft) -> None:
    more = rng.choice([b"\0", b"\0" * 512, b"x", gzipped(rng)(b""), gzipped(rng)(b"\0" * 1024)])
    draft.top_blob.append(lambda blob: blob + more)


def members_of_document(part: str) -> Callable[[Rng, Draft], None]:
    """Write a member again, in another case, or as nothing."""

    def change(rng: Rng, draft: Draft) -> None:
        again = rng.getrandbits(32)

        def damage(found: Any) -> Any:
            if not isinstance(found, dict):
                return found
            chosen = random.Random(again)  # noqa: S311
            inside = chosen.choice([found, found.get("config")])
            inside = inside if isinstance(inside, dict) and inside else found
            key = chosen.choice(sorted(inside))
            other = chosen.choice([key.upper(), key.lower(), key.title(), key])
            value = chosen.choice([None, inside[key], "", [], {}, 0])
            new = {**inside, other: value}
            return new if inside is found else found | {"config": new}

        draft.values[part].append(damage)

    return change


RANDOM: dict[str, Callable[[Rng, Draft], None]] = {
    **{f"random bytes in the {part}": bytes_of_document(part) for part in PARTS},
    **{f"an escaped letter in the {part}": plain_escape(part) for part in PARTS},
    **{f"a random member in the {part}": members_of_document(part) for part in PARTS},
    "random bytes in the program's header": bytes_of_header,
    "random bytes in the base": bytes_of_base,
    "a hard link of the base with other rights": rights_of_hard_link,
    "a layer of the base on a hard link": other_layer_on_hard_link,
    "random bytes in the gzip header": bytes_of_gzip,
    "something after the gzip stream": after_gzip,
}


# What must matter, from the attacks on the image stage.


def harmful() -> list[tuple[str, Callable[[Draft], None]]]:
    """Return the attacks on documents, settings, layers and gzip streams as changes of a draft."""
    if not _harmful:
        for test, attack in catalogue():
            apply = _appliers.get(test.partition("::")[2])
            if apply is not None:
                _harmful.append((attack.sample, apply(attack.artefact)))
    return _harmful


_harmful: list[tuple[str, Callable[[Draft], None]]] = []


def on(part: str) -> Callable[[Any], Callable[[Draft], None]]:
    return lambda change: lambda draft: draft.values[part].append(change)


def on_settings(told: JSON) -> Callable[[Draft], None]:
    def change(draft: Draft) -> None:
        draft.settings = draft.settings | told

    return change


def instead_of(what: str) -> Callable[[bytes], Callable[[Draft], None]]:
    return lambda data: lambda draft: getattr(draft, what).append(lambda _: data)


_appliers: Mapping[str, Callable[[Any], Callable[[Draft], None]]] = {
    "test_image_rejects_document_in_other_form": on("manifest"),
    "test_image_rejects_index_that_differs_from_plan": on("index"),
    "test_image_rejects_manifest_that_differs_from_plan": on("manifest"),
    "test_image_rejects_configuration_with_two_meanings": on("configuration"),
    "test_image_rejects_configuration_that_differs_from_plan": on("configuration"),
    "test_image_rejects_settings_that_differ_from_plan": on_settings,
    "test_image_rejects_layer_with_other_content": instead_of("top_tar"),
    "test_image_rejects_layer_in_other_gzip": lambda blob: (
        lambda draft: draft.top_blob.append(lambda _: blob)
    ),
}
