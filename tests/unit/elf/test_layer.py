"""One layer: every member with its bytes, and a plain no to what could be read in two ways."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.elf import layer
from sealift.elf.layer import GZIP, ZSTD, read_layer, steps_of
from sealift.errors import RefusedError, SealiftError, UsageError

from .tars import file, folder, hard_link, link, special, tar

WHOLE = tar(folder("etc", uid=7), file("./etc/motd", b"hello", 0o4755), link("m", "/etc/motd"))


def test_members_say_what_goes_where() -> None:
    etc, motd, m = read_layer(WHOLE, "layer").content.members
    assert (etc.steps, etc.kind, etc.mode, etc.uid, etc.gid) == (("etc",), "dir", 0o755, 7, 7)
    assert (motd.steps, motd.kind, motd.mode, motd.size) == (("etc", "motd"), "file", 0o4755, 5)
    assert WHOLE[motd.offset : motd.offset + motd.size] == b"hello"
    assert (m.kind, m.target, m.size) == ("symlink", "/etc/motd", 0)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(tarfile.CHRTYPE, "char"), (tarfile.BLKTYPE, "block"), (tarfile.FIFOTYPE, "fifo")],
)
def test_what_is_neither_file_nor_folder(kind: bytes, name: str) -> None:
    (member,) = read_layer(tar(special("x", kind)), "layer").content.members
    assert member.kind == name


def test_a_long_name_is_one_member() -> None:
    name = "/".join(["a" * 90] * 3)
    (member,) = read_layer(tar(file(name, b"x")), "layer").content.members
    assert "/".join(member.steps) == name


def test_compressed_and_plain_have_one_diff_id() -> None:
    plain, packed = read_layer(WHOLE, "layer"), read_layer(gzip.compress(WHOLE), "layer")
    assert packed.content.data[:] == plain.content.data[:] == WHOLE
    assert packed.content.diff_id == plain.content.diff_id == "sha256:" + hashlib.sha256(WHOLE).hexdigest()


def test_gzip_in_two_parts_is_one_tar() -> None:
    packed = gzip.compress(WHOLE[:700]) + gzip.compress(WHOLE[700:])
    assert read_layer(packed, "layer").content.data[:] == WHOLE


def test_zstd_needs_a_newer_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    with pytest.raises(UsageError, match=r"zstd, which Python reads from 3\.14 on"):
        read_layer(ZSTD + b"...", "layer")


def test_zstd_is_read_where_python_can(monkeypatch: pytest.MonkeyPatch) -> None:
    def decompress(blob: bytes) -> bytes:
        if blob != ZSTD + b"whole":
            raise ValueError("cut")
        return WHOLE

    stand_in = SimpleNamespace(decompress=decompress, ZstdError=ValueError)
    monkeypatch.setitem(sys.modules, "compression", SimpleNamespace(zstd=stand_in))
    monkeypatch.setitem(sys.modules, "compression.zstd", stand_in)
    assert read_layer(ZSTD + b"whole", "layer").content.data[:] == WHOLE
    with pytest.raises(RefusedError, match="the lowest is not a whole tar: cut"):
        read_layer(ZSTD, "the lowest")


@pytest.mark.parametrize("path", ["../x", "a/../../x", "..", "a/.."])
def test_a_path_that_climbs_is_refused(path: str) -> None:
    with pytest.raises(RefusedError, match="layer holds the path"):
        read_layer(tar(file(path)), "layer")


def test_steps_leave_out_what_means_nothing() -> None:
    assert steps_of("/./a//b/.", "layer") == ("a", "b")
    assert steps_of("./", "layer") == ()


def test_a_sparse_file_is_refused() -> None:
    info, _ = file("sparse")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "sparse"}
    raw = io.BytesIO()
    map_of_holes = b"1\n0\n0\n".ljust(512, b"\0")
    info.size = len(map_of_holes)
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as out:
        out.addfile(info, io.BytesIO(map_of_holes))
    with pytest.raises(UsageError, match="of a type that sealift does not know"):
        read_layer(raw.getvalue(), "layer")


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"hello",
        WHOLE[:1100],
        gzip.compress(WHOLE)[:-9],
        GZIP + b"hello",
        WHOLE[:-1] + b"x",
        WHOLE + WHOLE,
        WHOLE[:512] + b"\xff" * 512 + WHOLE[1024:],
    ],
    ids=["empty", "words", "cut", "cut gzip", "no gzip", "end", "twice", "broken header"],
)
def test_what_is_no_whole_tar_is_refused(blob: bytes) -> None:
    with pytest.raises(RefusedError, match="the lowest is not a whole tar"):
        read_layer(blob, "the lowest")


def test_a_hard_link_holds_a_path_of_the_image() -> None:
    (_, other) = read_layer(tar(file("a", b"x"), hard_link("b", "./a")), "layer").content.members
    assert (other.kind, other.target, other.size) == ("hardlink", "./a", 0)


@given(
    changes=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8)
)
def test_damage_never_escapes_as_another_exception(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for at, value in changes:
        data[at] = value
    try:
        read_layer(bytes(data), "layer")
    except SealiftError:
        return


def test_a_layer_unpacks_no_further_than_a_layer_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "RATIO_COUNTS_FROM", 2**20)
    whole = tar(file("a", b"\0" * (2**20 - 20480)))
    assert read_layer(gzip.compress(whole), "layer").content.members[0].size == 2**20 - 20480
    with pytest.raises(RefusedError, match=r"layer unpacks to more than 1048576 bytes, from \d+"):
        read_layer(gzip.compress(b"\0" * 2**21), "layer")
    with pytest.raises(RefusedError, match="unpacks to more than"):
        read_layer(gzip.compress(b"\0" * 2**19) * 3, "layer")


def test_a_layer_holds_no_more_entries_than_a_layer_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "MAX_MEMBERS", 3)
    assert len(read_layer(tar(*(file(str(n)) for n in range(3))), "layer").content.members) == 3
    with pytest.raises(RefusedError, match="layer unpacks to more than 3 entries"):
        read_layer(tar(*(file(str(n)) for n in range(4))), "layer")


def test_an_extension_header_of_megabytes_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer, "MAX_EXTENSION", 2048)
    info, _ = file("a")
    info.pax_headers = {"comment": "x" * 4000}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as out:
        out.addfile(info)
    with pytest.raises(RefusedError, match="an extension header of 4096 bytes"):
        read_layer(raw.getvalue(), "layer")


@pytest.mark.parametrize(
    ("blob", "wrapping"),
    [
        (gzip.compress(WHOLE), ""),
        (gzip.compress(WHOLE[:700]) + gzip.compress(WHOLE[700:]), "2 gzip streams, not one"),
        (gzip.compress(WHOLE) + b"\0" * 7, "gzip with 7 zeros behind it"),
        (WHOLE, "not compressed"),
    ],
)
def test_a_layer_says_how_it_was_wrapped(blob: bytes, wrapping: str) -> None:
    assert read_layer(blob, "layer").content.wrapping == wrapping


@given(data=st.binary(min_size=1, max_size=300), parts=st.integers(1, 4), cut=st.integers(0, 20))
def test_gzip_in_any_number_of_parts_is_unpacked_or_cut(data: bytes, parts: int, cut: int) -> None:
    tared = tar(file("a", data))
    size = -(-len(tared) // parts)
    packed = b"".join(gzip.compress(tared[at : at + size]) for at in range(0, len(tared), size))
    if not cut:
        assert read_layer(packed, "layer").content.data[:] == tared
        return
    with pytest.raises(RefusedError, match="is not a whole tar"):
        read_layer(packed[:-cut], "layer")
