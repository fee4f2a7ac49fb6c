"""Layers and layouts: the same bytes from the same content, and nothing that an engine refuses."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest

from sealift.errors import DefectError
from sealift.model.names import Digest, Platform
from sealift.rehearsal.oci_writer import REF_NAME, LayerTar, Packed, writing
from sealift.tools.layout import Layout
from tests.unit.rehearsal.debs import tar

AMD64, ARM64 = Platform("linux/amd64"), Platform("linux/arm64")


def members(packed: Packed) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed.blob))) as layer:
        return layer.getmembers()


def write(out: Path, text: bytes = b"hello\n") -> str:
    with writing(out) as layout:
        layer = LayerTar().file("etc/motd", text).pack()
        images = [layout.image(p, [layer], {"User": "65532"}, {"a": "b"}) for p in (AMD64, ARM64)]
        return layout.index(images, "nonroot")


def test_a_file_brings_its_directories_once() -> None:
    tree = (
        LayerTar()
        .directory("")
        .directory("etc", 0o700)
        .file("etc/ssl/a", b"a", 0o555)
        .file("etc/ssl/b", b"b")
    )
    found = members(tree.pack())
    assert [m.name for m in found] == [".", "./etc", "./etc/ssl", "./etc/ssl/a", "./etc/ssl/b"]
    assert [oct(m.mode) for m in found] == ["0o755", "0o700", "0o755", "0o555", "0o644"]
    assert {(m.uid, m.gid, m.mtime, m.uname) for m in found} == {(0, 0, 0, "")}


def test_owner_and_time_can_be_set() -> None:
    tree = LayerTar().directory("home/nonroot", 0o700, owner=65532).file("a", b"", mtime=7)
    home, file = members(tree.pack())
    assert (home.uid, home.gid, file.mtime) == (65532, 65532, 7)


def test_a_file_twice_is_a_defect() -> None:
    with pytest.raises(DefectError, match="twice"):
        LayerTar().file("a", b"").file("./a", b"")


def test_a_file_where_a_directory_stands_is_a_defect() -> None:
    with pytest.raises(DefectError, match="twice"):
        LayerTar().directory("a").file("a", b"")


def test_copies_entries_as_they_are() -> None:
    source = io.BytesIO(tar({"./etc/a": b"a"}, ["./etc"], {"./bin": "usr/bin"}))
    with tarfile.open(fileobj=source) as archive:
        found = members(LayerTar().directory("etc", 0o711).copy(archive).pack())
    assert [(m.name, oct(m.mode), m.mtime) for m in found[:3]] == [
        ("./etc", "0o711", 0), (".", "0o755", 1700000000), ("./etc/a", "0o644", 1700000000),
    ]  # fmt: skip
    assert (found[3].name, found[3].linkname) == ("./bin", "usr/bin")


def test_a_layer_names_the_tar_inside_and_carries_no_time() -> None:
    packed = LayerTar().file("a", b"a").pack()
    assert packed.diff_id == Digest.of(gzip.decompress(packed.blob))
    # ID, method, no flags, no time, an unknown system: https://www.rfc-editor.org/rfc/rfc1952
    assert packed.blob[:10] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF])


def tree(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_the_same_content_is_the_same_image_in_any_folder(tmp_path: Path) -> None:
    one, two = tmp_path / "a", tmp_path / "deep" / "b"
    assert write(one) == write(two)
    assert tree(one) == tree(two)


def test_a_layout_reads_back(tmp_path: Path) -> None:
    digest = write(tmp_path / "a")
    layout = Layout(tmp_path / "a")
    assert layout.index() == digest
    platforms = layout.platforms(layout.index())
    assert list(platforms) == [AMD64, ARM64]
    config = layout.config(platforms[ARM64])
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm64", "v8")
    assert "variant" not in layout.config(platforms[AMD64])
    (layer,) = layout.layers(platforms[ARM64])
    assert config["rootfs"]["diff_ids"] == [Digest.of(gzip.decompress(layout.read(layer.digest)))]
    named = json.loads((tmp_path / "a" / "index.json").read_bytes())["manifests"]
    assert [entry["annotations"][REF_NAME] for entry in named] == ["nonroot"]


def test_a_newer_layout_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    older, newer = write(tmp_path / "a", b"one"), write(tmp_path / "a", b"two")
    assert older != newer
    assert Layout(tmp_path / "a").index() == newer
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def break_off() -> None:
        with writing(tmp_path / "a") as layout:
            layout.blob(b"half", "text/plain")
            raise DefectError("half-way")

    with pytest.raises(DefectError, match="half-way"):
        break_off()
    assert list(tmp_path.iterdir()) == []
