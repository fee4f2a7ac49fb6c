"""Changes of a small image of any kind, and those that must matter: the attacks on the image stage."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.attacks.catalogue import catalogue
from tests.attacks.drafts import JSON, PARTS, Draft, Item, Rng, gzipped, summed
from tests.unit.stations.imaged import (
    PAX,
)

# Anything at all.


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


def file_and_folder(rng: Rng, draft: Draft) -> None:
    """Let one layer of the base hold a file, and files below it."""
    both = [Item(path="usr/share", data=b"no folder"), Item(path="usr/share/empty", kind="dir", mode=0o755)]
    draft.layers.append(rng.sample(both, 2))
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
    "a file and a folder in one place of the base": file_and_folder,
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
