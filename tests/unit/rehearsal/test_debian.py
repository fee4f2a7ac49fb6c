"""Reading .deb files: what they hold, or a clear no."""

from __future__ import annotations

import gzip
import hashlib
import lzma
from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.rehearsal.debian import Deb, contents, stanzas
from tests.unit.rehearsal.debs import ar, control, deb_bytes, tar, write_deb


def test_reads_what_a_package_says_of_itself(tmp_path: Path) -> None:
    path = write_deb(tmp_path, "libssl3", {"./usr/lib/libssl.so.3": b"elf"}, "Source: openssl (3.0.22)")
    deb = Deb.read(path)
    assert (deb.name, deb.version, deb.source) == ("libssl3", "1.0-1", "openssl")
    assert deb.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert deb.control.startswith(b"Package: libssl3\n")
    assert deb.md5sums is not None
    assert deb.md5sums.endswith(b"  usr/lib/libssl.so.3\n")


def test_a_package_without_a_source_field_is_its_own_source(tmp_path: Path) -> None:
    assert Deb.read(write_deb(tmp_path, "tzdata")).source == "tzdata"


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)], ids=["tar", "gz", "xz"]
)
def test_opens_its_files(tmp_path: Path, suffix: str, pack: object) -> None:
    assert callable(pack)
    path = tmp_path / "a.deb"
    about, data = tar({"./control": control("a")}), tar({"./etc/a": b"hello"})
    members = [
        ("debian-binary", b"2.0\n"),
        (f"control.tar{suffix}", pack(about)),
        (f"data.tar{suffix}", pack(data)),
    ]
    path.write_bytes(ar(members))
    deb = Deb.read(path)
    assert deb.md5sums is None
    with deb.files() as files:
        assert contents(files, files.getmember("./etc/a")) == b"hello"


GOOD = deb_bytes("a", {"./usr/share/a": b"a" * 3000})
NO_NAME = ar([("control.tar", tar({"./control": b"Version: 1\n"})), ("data.tar", tar({}))])


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"<html>not found</html>", "no ar archive"),
        (GOOD[:-200], "cut short"),
        (GOOD[:100], "no member"),
        (GOOD[: len(GOOD) // 3] + b"\0" * 200 + GOOD[len(GOOD) // 3 + 200 :], "."),
        (ar([("debian-binary", b"2.0\n")]), "no control.tar"),
        (ar([("control.tar", tar({"./control": control("a")}))]), "no data.tar"),
        (ar([("control.tar", tar({"./md5sums": b""})), ("data.tar", tar({}))]), "no control file"),
        (NO_NAME, "names no package"),
        (ar([("control.tar.zst", b"\x28\xb5\x2f\xfd" + b"0" * 600), ("data.tar", tar({}))]), "."),
        (b"!<arch>\n" + b"x" * 60, "no member"),
    ],
)
def test_a_broken_package_is_named(tmp_path: Path, raw: bytes, why: str) -> None:
    path = tmp_path / "broken.deb"
    path.write_bytes(raw)
    with pytest.raises(OutsideError, match=why) as caught:
        assert Deb.read(path).name
    assert "broken.deb" in caught.value.happened
    assert caught.value.next_step.startswith("rm ")


def test_files_that_do_not_unpack_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.deb"
    packed = lzma.compress(tar({"./a": b"a" * 5000}))
    path.write_bytes(ar([("control.tar", tar({"./control": control("a")})), ("data.tar.xz", packed[:-30])]))
    with pytest.raises(OutsideError, match="can be read"):
        Deb.read(path).files()


def test_paragraphs() -> None:
    text = "# a comment\nTypes: deb\nURIs: http://a.example\n  http://b.example\n\n \nPackage:x\nEmpty:\n"
    assert stanzas(text) == [
        {"types": "deb", "uris": "http://a.example\nhttp://b.example"},
        {"package": "x", "empty": ""},
    ]
