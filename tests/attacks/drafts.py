"""A small image and its base while they are changed, and how they are written."""

from __future__ import annotations

import io
import random
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sealift.model.names import Digest
from sealift.rehearsal.distroless import CONFIG as DISTROLESS
from sealift.rehearsal.oci_writer import Packed
from tests.unit.stations.imaged import (
    NAME,
    PAX,
    PROGRAM,
    USTAR,
    Form,
    Image,
    base_image,
    entry,
    go_tar,
    library,
    planned,
    right_image,
)

JSON = dict[str, Any]
Rng = random.Random
Change = Callable[[Any], Any]
PARTS = ("top", "index", "manifest", "configuration")
# A path's kind, mode, uid, gid, link target and content; a time where it is a file.
Tree = dict[str, tuple[str, int, int, int, str, bytes, int]]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One entry of a base's layer."""

    path: str
    kind: str = "file"
    mode: int = 0o644
    owner: int = 0
    data: bytes = b""
    target: str = ""
    mtime: int = 0
    name: str = ""
    records: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Draft:
    """A mutant while it is made; each of its lists of functions is applied in turn when it is written."""

    layers: list[list[Item]]
    forms: list[Form]
    settings: JSON
    steps: list[JSON]
    arguments: list[str] = field(default_factory=list)
    prefix: str = "./"
    padding: int = 1024
    top_tar: list[Callable[[bytes], bytes]] = field(default_factory=list)
    base_tar: list[Callable[[bytes], bytes]] = field(default_factory=list)
    pack: Callable[[bytes], bytes] | None = None
    top_blob: list[Callable[[bytes], bytes]] = field(default_factory=list)
    values: dict[str, list[Change]] = field(default_factory=lambda: {p: [] for p in PARTS})
    encoders: dict[str, Callable[[Any], bytes]] = field(default_factory=dict)
    marked: bool = True
    names: list[str] = field(default_factory=list)


def base_items() -> list[Item]:
    """Describe a base: what distroless has of each kind."""
    return [
        Item(path="", kind="dir", mode=0o755),
        Item(path="etc", kind="dir", mode=0o755),
        Item(path="etc/passwd", data=b"root:x:0:0\n", mtime=1),
        Item(path="etc/alias", kind="symlink", mode=0o777, target="passwd"),
        Item(path="home", kind="dir", mode=0o755),
        Item(path="home/nonroot", kind="dir", mode=0o700, owner=65532),
        Item(path="tmp", kind="dir", mode=0o1777),
        Item(path="usr", kind="dir", mode=0o755),
        Item(path="usr/lib", kind="dir", mode=0o755),
        Item(path="usr/lib/libone.so.1", data=library("libone.so.1"), mtime=7),
        Item(path="usr/share", kind="dir", mode=0o755),
        Item(path="usr/share/empty", mode=0o640, mtime=3),
    ]


def tree_of(layers: list[list[Item]]) -> Tree:
    """Lay layers on each other, as whoever wrote them means it, and put the program on top."""
    found: Tree = {}
    for items in layers:
        for item in items:
            path = f"/{item.path}"
            if item.kind == "hardlink":
                found[path] = found[f"/{item.target}"]
                continue
            if item.kind != "dir":
                found = {p: f for p, f in found.items() if not p.startswith(f"{path}/")}
            found[path] = (
                *(item.kind, item.mode, item.owner, item.owner, item.target, item.data),
                item.mtime if item.kind == "file" else 0,
            )
    found[f"/{NAME}"] = ("file", 0o755, 0, 0, "", PROGRAM, planned().time)
    del found["/"]
    # A folder that no layer names.
    above = {parent for path in found for parent in parents(path) if parent not in found}
    return found | dict.fromkeys(above, ("dir", 0o755, 0, 0, "", b"", 0))


def parents(path: str) -> list[str]:
    steps = path.split("/")
    return ["/".join(steps[:n]) for n in range(2, len(steps))]


def configuration_of(image: Image) -> JSON:
    """Return the configuration that is planned."""
    return {
        "architecture": "amd64",
        "os": "linux",
        "config": image.settings,
        "created": image.created,
        "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in image.layers]},
        "history": list(image.steps),
    }


def written(draft: Draft, rng: Rng) -> tuple[Image, Image]:
    """Write the layers, and put the documents' changes together."""
    pack = draft.pack or gzipped(rng, plain=True)
    layers = []
    for items, form in zip(draft.layers, draft.forms, strict=True):
        tar = base_tar(items, form, draft)
        for change in draft.base_tar:
            tar = change(tar)
        layers.append(Packed(diff_id=Digest.of(tar), blob=pack(tar)))
    tar = go_tar((entry(), PROGRAM))
    for change in draft.top_tar:
        tar = change(tar)
    blob = pack(tar)
    for change in draft.top_blob:
        blob = change(blob)
    history = [{"created": "1970-01-01T00:00:00Z", "created_by": "sealift rehearsal"}] * len(layers)
    base = replace(base_image(), layers=tuple(layers), steps=tuple(history), settings=dict(DISTROLESS))
    own = right_image().steps[1:]
    argument = own[0] | {"created_by": " ".join(["ARG TARGETOS=linux TARGETARCH=amd64", *draft.arguments])}
    right = right_image(base)
    image = replace(
        right,
        layers=(*layers, Packed(diff_id=Digest.of(tar), blob=blob)),
        settings=draft.settings,
        steps=(*history, argument, *(draft.steps or own[1:])),
        mark=right.mark if draft.marked else {},
    )
    for part in PARTS:
        document: JSON = {part: composed(draft.values[part], draft.encoders.get(part))}
        image = replace(image, **document)
    return image, base


def composed(changes: list[Change], encode: Callable[[Any], bytes] | None) -> Change:
    fixed = tuple(changes)

    def change(found: Any) -> Any:
        for one in fixed:
            found = one(found)
        return encode(found) if encode is not None and not isinstance(found, bytes) else found

    return change


def base_tar(items: list[Item], form: Form, draft: Draft) -> bytes:
    kinds = {"dir": tarfile.DIRTYPE, "symlink": tarfile.SYMTYPE, "hardlink": tarfile.LNKTYPE}
    raw = io.BytesIO()
    if any(len(item.path) > 90 or not item.path.isascii() for item in items) and form == USTAR:
        form = PAX
    for item in items:
        info = tarfile.TarInfo(f"{draft.prefix}{item.path}" if item.path else "./")
        info.type = kinds.get(item.kind, tarfile.REGTYPE)
        info.mode, info.uid, info.gid, info.mtime = item.mode, item.owner, item.owner, item.mtime
        info.uname = info.gname = item.name
        info.linkname = f"{draft.prefix}{item.target}" if item.kind == "hardlink" else item.target
        info.size = len(item.data)
        info.pax_headers = dict(item.records) if form == PAX else {}
        raw.write(info.tobuf(form) + item.data + b"\0" * (-len(item.data) % 512))
    return raw.getvalue() + b"\0" * draft.padding


def gzipped(rng: Rng, *, plain: bool = False) -> Callable[[bytes], bytes]:
    """Compress in one of the ways in which one gzip stream can be written."""
    level, memory = (6, 8) if plain else (rng.randint(0, 9), rng.randint(1, 9))
    strategies = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED)
    strategy = zlib.Z_DEFAULT_STRATEGY if plain else rng.choice(strategies)
    flush = zlib.Z_NO_FLUSH if plain else rng.choice([zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH])
    when, extra, system = (
        (0, 0, 255) if plain else (rng.getrandbits(32), rng.choice([0, 2, 4]), rng.randint(0, 255))
    )
    step = 10**9 if plain else rng.randint(300, 5000)

    def pack(tar: bytes) -> bytes:
        stream = zlib.compressobj(level, zlib.DEFLATED, -15, memory, strategy)
        body = b"".join(
            stream.compress(tar[at : at + step]) + (stream.flush(flush) if flush else b"")
            for at in range(0, len(tar), step)
        )
        header = b"\x1f\x8b\x08\0" + struct.pack("<IBB", when, extra, system)
        return header + body + stream.flush() + struct.pack("<II", zlib.crc32(tar), len(tar))

    return pack


def summed(raw: bytearray) -> bytes:
    """Write the sum of the first header anew."""
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)
