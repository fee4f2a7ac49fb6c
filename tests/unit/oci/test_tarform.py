"""Tars in their one form: what is accepted another reader reads alike."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sealift.errors import RefusedError
from sealift.oci.tarform import read_entries
from tests.unit.elf.tars import file, folder, hard_link, link, tar

NAMES = st.text("ab./\\\0\n\u00e9", min_size=1, max_size=6) | st.sampled_from(
    ["a" * 120, "d/" * 60 + "x", "./", ".wh.a"]
)
RECORDS = st.dictionaries(
    st.sampled_from(["path", "linkpath", "size", "mtime", "SCHILY.xattr.a", "GNU.sparse.name", "uid"]),
    st.sampled_from(["", "1", "a", "../a"]),
    max_size=2,
)


@st.composite
def members(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(draw(NAMES))
    info.type = draw(st.sampled_from([b"0", b"1", b"2", b"5", b"\0", b"7", b"3"]))
    info.linkname = draw(st.sampled_from(["", "a", "../a", "a" * 130]))
    info.mode = draw(st.sampled_from([0o644, 0o4755]))
    data = draw(st.binary(max_size=3)) if info.type in b"0\x007" else b""
    info.size = len(data)
    info.pax_headers = draw(RECORDS)
    return info, data


@given(
    written=st.lists(members(), max_size=4),
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    plain=st.booleans(),
)
@hypothesis_settings(max_examples=400, deadline=None)
def test_what_is_accepted_another_reader_reads_alike(
    written: list[tuple[tarfile.TarInfo, bytes]], form: int, plain: bool
) -> None:
    raw = io.BytesIO()
    try:
        with tarfile.open(fileobj=raw, mode="w", format=form) as out:
            for info, data in written:
                out.addfile(info, io.BytesIO(data))
    except ValueError:
        return  # no tar can say that
    try:
        found = read_entries(raw.getvalue(), "it", plain=plain)
    except RefusedError:
        return
    with tarfile.open(fileobj=io.BytesIO(raw.getvalue())) as other:
        theirs = other.getmembers()
    assert [(e.path.rstrip("/"), e.mode, e.uid, e.size, e.target) for e in found] == [
        (i.name, i.mode, i.uid, i.size, i.linkname) for i in theirs
    ]
    assert [e.kind for e in found] == [kind_of(info) for info in theirs]


def kind_of(info: tarfile.TarInfo) -> str:
    kinds = {"file": info.isreg(), "dir": info.isdir(), "symlink": info.issym(), "char": info.ischr()}
    return next((kind for kind, applies in kinds.items() if applies), "hardlink")


@given(
    changes=st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), min_size=1, max_size=4),
    plain=st.booleans(),
)
@hypothesis_settings(max_examples=300, deadline=None)
def test_damage_never_escapes(changes: list[tuple[int, int]], plain: bool) -> None:
    raw = bytearray(
        tar(folder("a"), file("a/" + "b" * 120, b"x"), link("c", "a"), hard_link("d", "a/" + "b" * 120))
    )
    for at, value in changes:
        raw[at % len(raw)] = value
    try:
        read_entries(bytes(raw), "it", plain=plain)
    except RefusedError as err:
        assert str(err).startswith("it ")  # noqa: PT017 - one of ours, or nothing


def test_base_forms_are_read() -> None:
    raw = tar(
        folder("./"),
        folder("./etc/"),
        file("./etc/motd", b"hello"),
        link("m", "etc/motd"),
        hard_link("n", "./etc/motd"),
    )
    found = read_entries(raw, "it", plain=False)
    assert [(e.steps, e.kind) for e in found] == [
        ((), "dir"), (("etc",), "dir"), (("etc", "motd"), "file"), (("m",), "symlink"), (("n",), "hardlink"),
    ]  # fmt: skip
