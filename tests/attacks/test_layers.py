"""Image: layers above the base that hold more than the program, or that two readers unpack differently."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealift.rehearsal.oci_writer import Packed
from sealift.stations.gate import GateRefusedError
from tests.attacks.catalogue import Attack, Kind, attacks, each
from tests.unit.stations.imaged import (
    GNU,
    NAME,
    PAX,
    PROGRAM,
    bomb,
    edited,
    entry,
    extended,
    go_tar,
    look,
    packed,
    planned,
    right_image,
)

RIGHT = go_tar((entry(), PROGRAM))
FOLDER = tarfile.DIRTYPE
EVIL = b"\x7fELF another program"


def of_one(**changed: Any) -> bytes:
    return go_tar((entry(**changed), PROGRAM))


def global_header() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=PAX, pax_headers={"path": "etc/passwd"}) as out:
        out.addfile(entry(), io.BytesIO(PROGRAM))
    return raw.getvalue()


def linked(kind: bytes, name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, 0, type=kind, linkname=target), b""


def named_gzip() -> bytes:
    raw = io.BytesIO()
    with gzip.GzipFile(filename="x", fileobj=raw, mode="wb", mtime=0) as stream:
        stream.write(RIGHT)
    return raw.getvalue()


@each(
    *attacks(
        Kind.MORE,
        "image",
        {
            "a program with mode 0777": (of_one(mode=0o777), "entries of the layer: expected"),
            "a setuid program": (of_one(mode=0o4755), "setuid: ['/health-caretaker']"),
            "a program with the sticky bit": (of_one(mode=0o1755), "entries of the layer: expected"),
            "a program of another user": (of_one(uid=1000), "entries of the layer: expected"),
            "a program of another group": (of_one(gid=1000), "entries of the layer: expected"),
            "a program with a user name in tar": (of_one(uname="mallory"), "entries of the layer: expected"),
            "a program with another time": (
                of_one(mtime=planned().time + 1),
                "entries of the layer: expected",
            ),
            "a program with a file capability": (
                extended({"SCHILY.xattr.security.capability": "\x01"}),
                "of the type b'x'",
            ),
            "a program with an access list": (
                extended({"SCHILY.acl.access": "user::rwx"}),
                "of the type b'x'",
            ),
            "an extra folder in the layer": (
                go_tar((entry("opt/", 0, type=FOLDER), b""), (entry(), PROGRAM)),
                "entries of the layer: expected",
            ),
            "a root folder that every user may write to": (
                go_tar((entry("./", 0, type=FOLDER, mode=0o777), b""), (entry(), PROGRAM)),
                "entries of the layer: expected",
            ),
            "an extra file in the layer": (
                go_tar((entry(), PROGRAM), (entry("extra", 0), b"")),
                "files above the base: expected",
            ),
            "a hard link to the program": (
                go_tar((entry(), PROGRAM), linked(tarfile.LNKTYPE, "other", NAME)),
                "entries of the layer",
            ),
            "a symbolic link instead of the program": (
                go_tar(linked(tarfile.SYMTYPE, NAME, "/opt/x")),
                "entries of the layer",
            ),
            "a device in the layer": (
                go_tar((entry(), PROGRAM), (entry("null", 0, type=tarfile.CHRTYPE), b"")),
                "entries of the layer",
            ),
            "another program under the same name": (
                go_tar((entry(size=len(EVIL)), EVIL)),
                "binary in the layer: expected",
            ),
            "an empty layer": (go_tar(), "entries of the layer: expected"),
        },
    )
)
def test_image_rejects_layer_with_other_content(tmp_path: Path, attack: Attack[bytes]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, right_image().topped(attack.artefact))
    attack.assert_blocked_by(caught.value)


@each(
    *attacks(
        Kind.READERS,
        "image",
        {
            "a PAX `path`": (extended({"path": "etc/passwd"}), "of the type b'x'"),
            "an empty PAX `path`": (extended({"path": ""}), "of the type b'x'"),
            "a GNU sparse name": (extended({"GNU.sparse.name": "etc/passwd"}), "of the type b'x'"),
            "a global PAX header": (global_header(), "of the type b'g'"),
            "a long name in GNU's format": (
                go_tar((entry("a" * 120), PROGRAM), form=GNU),
                "of another format",
            ),
            "a tar in GNU's format": (go_tar((entry(), PROGRAM), form=GNU), "of another format"),
            "a tar in the format before POSIX": (edited(257, b"\0" * 8), "of another format"),
            "an entry of the oldest type (NUL)": (edited(156, b"\0"), "of the type b'\\x00'"),
            "an entry of the contiguous type": (edited(156, b"7"), "of the type b'7'"),
            "a sparse file": (edited(156, b"S"), "of a type that sealift does not know"),
            "a second name behind the NUL of the first": (
                edited(len(NAME) + 1, b"etc/passwd"),
                "hides bytes behind the end of a name",
            ),
            "a name with a prefix": (edited(345, b"etc"), "entries of the layer: expected"),
            "a file with a link target": (edited(157, b"etc"), "a file, the target 'etc'"),
            "a number in base 256": (edited(108, b"\x80\0\0\0\0\0\0\0"), "not written in octal"),
            "a number with a sign": (edited(100, b"-000755\0"), "not written in octal"),
            "bytes in the unused part of a header": (edited(500, b"hello"), "has bytes after its header"),
            "a header with a wrong checksum": (
                RIGHT[:148] + b"000000\0 " + RIGHT[156:],
                "is not a whole tar",
            ),
            "bytes in the padding of a file": (
                RIGHT[:600] + b"x" + RIGHT[601:],
                "has bytes between two entries",
            ),
            "a tar without its end": (RIGHT[:-1024], "has no end"),
            "a tar with half an end": (RIGHT[:-512], "after its last entry"),
            "a tar with a longer end": (RIGHT + b"\0" * 512, "ends with 1536 bytes after its last entry"),
            "a second tar behind the end of the first": (RIGHT + RIGHT, "goes on after its end"),
            "a tar that is no number of blocks": (RIGHT + b"\0", "no number of whole blocks"),
            "a tar that is cut off": (RIGHT[:700], "is not a whole tar"),
            "the program twice": (
                go_tar((entry(), PROGRAM), (entry(), PROGRAM)),
                "holds 'health-caretaker' twice",
            ),
            "the program twice, once as ./NAME": (
                go_tar((entry(), PROGRAM), (entry(f"./{NAME}"), PROGRAM)),
                "not in its one plain form",
            ),
            "the program as ./NAME": (of_one(name=f"./{NAME}"), "not in its one plain form"),
            "the program as /NAME": (of_one(name=f"/{NAME}"), "not in its one plain form"),
            "the program as tmp/../NAME": (of_one(name=f"tmp/../{NAME}"), "holds the path"),
            "the program as tmp//NAME": (of_one(name=f"tmp//{NAME}"), "not in its one plain form"),
            "a file whose name ends with a slash": (edited(len(NAME), b"/"), "not in its one plain form"),
            "./ as a file": (go_tar((entry("./"), PROGRAM)), "holds the path"),
            "a line feed in a name": (of_one(name=f"{NAME}\n"), "not in its one plain form"),
            "a backslash in a name": (of_one(name=f"tmp\\{NAME}"), "not in its one plain form"),
            "a hard link before its target": (
                go_tar(linked(tarfile.LNKTYPE, "a", NAME), (entry(), PROGRAM)),
                "no file before it",
            ),
            "a whiteout of /etc/passwd": (
                go_tar((entry(), PROGRAM), (entry("etc/.wh.passwd", 0), b"")),
                "hides or marks files",
            ),
            "an opaque whiteout of /etc": (
                go_tar((entry(), PROGRAM), (entry("etc/.wh..wh..opq", 0), b"")),
                "hides or marks files",
            ),
            "a setuid program in aufs' .wh..wh.x/": (
                go_tar((entry(), PROGRAM), (entry(".wh..wh.x/su", len(EVIL), mode=0o4755), EVIL)),
                "hides or marks files",
            ),
        },
    )
)
def test_image_rejects_layer_in_other_form(tmp_path: Path, attack: Attack[bytes]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, right_image().topped(attack.artefact))
    attack.assert_blocked_by(caught.value)


@each(
    *attacks(
        Kind.READERS,
        "image",
        {
            "a plain tar declared as gzip": (RIGHT, "wrapping of the layer: expected , got not compressed"),
            "zeros behind the gzip stream": (
                gzip.compress(RIGHT, mtime=0) + b"\0" * 9,
                "got gzip with 9 zeros behind it",
            ),
            "text behind the gzip stream": (gzip.compress(RIGHT, mtime=0) + b"hello", "is not a whole tar"),
            "a layer in two gzip members": (
                gzip.compress(RIGHT[:700]) + gzip.compress(RIGHT[700:]),
                "got 2 gzip streams, not one",
            ),
            "an empty second gzip member": (
                gzip.compress(RIGHT) + gzip.compress(b""),
                "got 2 gzip streams, not one",
            ),
            "a file name in the gzip header": (named_gzip(), "got gzip with more than its data"),
            "a gzip stream that is cut off": (gzip.compress(RIGHT)[:-4], "is not a whole tar"),
            "a gzip stream with a wrong checksum": (
                gzip.compress(RIGHT)[:-8] + b"\0" * 8,
                "is not a whole tar",
            ),
        },
    )
)
def test_image_rejects_layer_in_other_gzip(tmp_path: Path, attack: Attack[bytes]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, right_image().topped(RIGHT, attack.artefact))
    attack.assert_blocked_by(caught.value)


@each(
    Attack(
        kind=Kind.RESOURCES,
        sample="a layer that unpacks to 96 times a megabyte of zeros",
        artefact=bomb,
        stage="image",
        words="unpacks to more than 67108864 bytes",
    )
)
def test_image_rejects_layer_that_unpacks_without_end(
    tmp_path: Path, attack: Attack[Callable[[], bytes]]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, right_image().topped(RIGHT, attack.artefact()))
    attack.assert_blocked_by(caught.value)


@each(
    Attack(
        kind=Kind.MORE,
        sample="an extra layer",
        artefact=packed(go_tar()),
        stage="image",
        words="layers: expected 2, got 3",
    )
)
def test_image_rejects_extra_layer(tmp_path: Path, attack: Attack[Packed]) -> None:
    image = right_image()
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, replace(image, layers=(*image.layers, attack.artefact)))
    attack.assert_blocked_by(caught.value)
