"""The image's files as an engine would lay them out; never one of this machine's."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import msgspec
import pytest

from sealift.elf.rootfs import MOST_LINKS, Rootfs
from sealift.errors import RefusedError, UsageError
from sealift.model.names import Digest, Platform
from sealift.oci.documents import CONFIG, MANIFEST
from sealift.rehearsal.oci_writer import Packed, writing
from sealift.tools.layout import Layout

from .tars import file, folder, hard_link, image, link, rootfs, special, tar


def paths(found: Rootfs) -> list[str]:
    return [entry.path for entry in found.entries()]


def where(found: Rootfs, path: str) -> str | None:
    entry = found.resolve(path)
    return None if entry is None else entry.path


def test_upper_files_hide_lower_ones() -> None:
    found = rootfs(
        tar(folder("etc"), file("etc/a", b"old"), file("b", b"b")), tar(file("etc/a", b"new", 0o600))
    )
    assert found.read("/etc/a") == b"new"
    assert found.read("b") == b"b"
    top = found.resolve("/etc/a")
    assert top is not None
    assert (top.mode, top.size, top.layer_index, top.kind) == (0o600, 3, 1, "file")
    assert paths(found) == ["/b", "/etc", "/etc/a"]


def test_folders_that_nobody_named_are_made() -> None:
    found = rootfs(tar(file("a/b/c", b"x")))
    made = found.resolve("/a/b")
    assert made is not None
    assert (made.kind, made.mode, made.uid) == ("dir", 0o755, 0)


def test_an_empty_layer_changes_nothing() -> None:
    assert paths(rootfs(tar(file("a")), bytes(1024))) == ["/a"]


def test_a_whiteout_removes_what_is_below() -> None:
    lower = tar(folder("d"), file("d/x"), folder("d/sub"), file("d/sub/y"), file("keep"))
    assert paths(rootfs(lower, tar(file("d/.wh.x")))) == ["/d", "/d/sub", "/d/sub/y", "/keep"]
    assert paths(rootfs(lower, tar(file(".wh.d")))) == ["/keep"]
    assert paths(rootfs(lower, tar(file("d/.wh.absent"), file("none/.wh.x")))) == paths(rootfs(lower))


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_a_whiteout_is_about_the_layers_below_only(whiteout_first: bool) -> None:
    members = [file(".wh.a"), file("a", b"new")]
    found = rootfs(tar(file("a", b"old")), tar(*(members if whiteout_first else members[::-1])))
    assert found.read("/a") == b"new"


@pytest.mark.parametrize("marker_first", [True, False])
def test_an_opaque_folder_keeps_only_its_own_layer(marker_first: bool) -> None:
    members = [file("d/.wh..wh..opq"), file("d/new")]
    found = rootfs(
        tar(folder("d"), file("d/old"), file("d/sub/old"), file("other")),
        tar(folder("d", 0o700), *(members if marker_first else members[::-1])),
    )
    assert paths(found) == ["/d", "/d/new", "/other"]


def test_an_opaque_root_hides_everything_below() -> None:
    assert paths(rootfs(tar(file("a"), file("d/b")), tar(file(".wh..wh..opq"), file("c")))) == ["/c"]


def test_what_another_union_left_behind_is_no_file() -> None:
    assert paths(
        rootfs(tar(file(".wh..wh.aufs"), folder(".wh..wh.plnk"), file(".wh..wh.plnk/1.2"), file("a")))
    ) == ["/a"]


@pytest.mark.parametrize("name", [".wh.", ".wh..", "d/.wh..."])
def test_a_whiteout_without_a_name_is_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="whiteout without a name"):
        rootfs(tar(folder("d"), file("d/x")), tar(file(name)))


def test_a_file_below_a_whiteout_is_refused() -> None:
    with pytest.raises(RefusedError, match="lies inside a whiteout"):
        rootfs(tar(folder("d")), tar(file(".wh.d/x")))


def test_a_whiteout_through_a_link_of_a_lower_layer_is_refused() -> None:
    with pytest.raises(RefusedError, match="is no folder below it"):
        rootfs(tar(file("d/x"), link("l", "d")), tar(file("l/.wh.x")))


def test_a_file_takes_a_folders_place_and_the_reverse() -> None:
    lower = tar(file("d/x"), file("f"))
    found = rootfs(lower, tar(file("d", b"now a file"), folder("f"), file("f/x")))
    assert paths(found) == ["/d", "/f", "/f/x"]
    assert found.read("/d") == b"now a file"


def test_a_folder_again_keeps_its_files_and_changes_its_mode() -> None:
    found = rootfs(tar(folder("d"), file("d/x")), tar(folder("d", 0o700, uid=65532)))
    again = found.resolve("/d")
    assert again is not None
    assert (again.mode, again.uid, again.gid, paths(found)) == (0o700, 65532, 65532, ["/d", "/d/x"])


def test_the_root_has_an_owner_and_no_path() -> None:
    found = rootfs(tar(folder("./", 0o700, uid=5)))
    root = found.resolve("/")
    assert root is not None
    assert (root.path, root.mode, root.uid, paths(found)) == ("/", 0o700, 5, [])


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/lib64/ld.so", "/usr/lib/ld.so"),
        ("/lib64/../lib/ld.so", "/usr/lib/ld.so"),
        ("/usr/./lib//ld.so", "/usr/lib/ld.so"),
        ("/up/lib/ld.so", "/usr/lib/ld.so"),
        ("/../../usr/lib/ld.so", "/usr/lib/ld.so"),
        ("/outside", "/etc/passwd"),
        ("/deep/outside", "/etc/passwd"),
        ("/dangling", None),
        ("/usr/lib/ld.so/", None),
        ("/usr/lib/ld.so/x", None),
        ("/usr/lib/ld.so/..", None),
        ("/absent/../usr", None),
        ("/round", None),
    ],
)
def test_links_lead_through_the_image_only(path: str, leads_to: str | None) -> None:
    found = image(
        {
            "usr/lib/ld.so": b"loader",
            "etc/passwd": b"the image's own",
            "lib": "usr/lib",
            "lib64": "/lib",
            "up": "usr/lib/..",
            "outside": "../../../../../../../../etc/passwd",
            "deep/outside": "/../etc/passwd",
            "dangling": "/no/such/thing",
            "round": "round",
        }
    )
    assert where(found, path) == leads_to


def test_a_link_never_reads_this_machines_file(tmp_path: Path) -> None:
    mine = tmp_path / "secret"
    mine.write_text("this machine's")
    found = image({"a": str(mine), "b": "../" * 30 + str(mine)})
    for path in ("/a", "/b", str(mine)):
        with pytest.raises(UsageError, match="is nothing, not a file"):
            found.read(path)


@pytest.mark.parametrize(("links", "arrives"), [(MOST_LINKS, True), (MOST_LINKS + 1, False)])
def test_as_many_links_as_linux_follows(links: int, arrives: bool) -> None:
    chain: dict[str, bytes | str] = {f"l{n}": f"l{n + 1}" for n in range(links)}
    found = image({**chain, f"l{links}": b"end"})
    assert (found.resolve("/l0") is not None) is arrives


def test_a_link_is_listed_with_its_target() -> None:
    (entry,) = image({"a": "/b"}).entries()
    assert (entry.kind, entry.target) == ("symlink", "/b")


def test_a_hard_link_is_the_same_file() -> None:
    lower = tar(file("d/a", b"one", 0o755))
    found = rootfs(lower, tar(hard_link("b", "./d/a"), file("d/a", b"two")))
    assert (found.read("/b"), found.read("/d/a")) == (b"one", b"two")
    entry = found.resolve("/b")
    assert entry is not None
    assert (entry.kind, entry.mode, entry.size, entry.layer_index, entry.target) == ("file", 0o755, 3, 1, "")


@pytest.mark.parametrize("target", ["absent", "d", "/no/such"])
def test_a_hard_link_to_no_file_is_refused(target: str) -> None:
    with pytest.raises(RefusedError, match="which is no file there"):
        rootfs(tar(folder("d"), hard_link("b", target)))


@pytest.mark.parametrize("target", ["lib/one", "/lib/one", "usr/lib/one"])
def test_a_hard_link_leads_through_the_images_folders(target: str) -> None:
    """On a merged /usr, /lib is a link; of this machine's /lib nothing counts."""
    below = tar(file("usr/lib/one", b"1"), link("lib", "/usr/lib"))
    assert rootfs(below, tar(hard_link("two", target))).read("/two") == b"1"


def test_a_hard_link_that_climbs_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"holds the path '\.\./etc/passwd'"):
        rootfs(tar(hard_link("b", "../etc/passwd")))


def test_a_file_goes_through_a_link_of_its_own_layer() -> None:
    assert paths(rootfs(tar(folder("d"), link("l", "d"), file("l/x")))) == ["/d", "/d/x", "/l"]


@pytest.mark.parametrize(
    "layers",
    [
        (tar(folder("d"), link("l", "d")), tar(file("l/x"))),
        (tar(link("l", "absent"), file("l/x")),),
        (tar(file("f"), file("f/x")),),
        (tar(file("f"), link("l", "f"), file("l/x")),),
    ],
    ids=["link of a lower layer", "dangling", "file", "link to a file"],
)
def test_a_file_through_what_is_no_folder_is_refused(layers: tuple[bytes, ...]) -> None:
    with pytest.raises(RefusedError, match="is no folder below it"):
        rootfs(*layers)


def test_devices_are_listed_and_not_read() -> None:
    found = rootfs(tar(special("dev/null", tarfile.CHRTYPE)))
    assert [entry.kind for entry in found.entries()] == ["dir", "char"]
    with pytest.raises(UsageError, match="/dev/null in test-image is a char, not a file"):
        found.read("/dev/null")


def test_damage_names_its_layer() -> None:
    with pytest.raises(RefusedError, match="layer 1 of test-image is not a whole tar"):
        rootfs(tar(file("a")), tar(file("a", b"x" * 2000))[:1500])


def test_diff_ids_must_fit() -> None:
    layers = [tar(file("a")), tar(file("b"))]
    right = tuple(Digest.of(layer) for layer in layers)
    assert paths(Rootfs(map(gzip.compress, layers), "x", right)) == ["/a", "/b"]
    with pytest.raises(RefusedError, match=r"layer 0 of x has sha256:.*its configuration says sha256"):
        Rootfs(layers, "x", right[::-1])
    with pytest.raises(RefusedError, match=r"layer 1 of x has sha256:.*its configuration says nothing"):
        Rootfs(layers, "x", right[:1])
    with pytest.raises(RefusedError, match="x has 1 layers, its configuration says 2 layers"):
        Rootfs(layers[:1], "x", right)


def write_layout(root: Path, diff_id: str | None, layer: bytes) -> Digest:
    packed = Packed(
        diff_id=Digest.of(layer) if diff_id is None else Digest(diff_id), blob=gzip.compress(layer)
    )
    with writing(root) as writer:
        entry = writer.image(Platform("linux/amd64"), [packed], {}, {})
        writer.index([entry], "test")
    return Digest(entry["digest"])


def test_from_a_layout(tmp_path: Path) -> None:
    manifest = write_layout(tmp_path / "image", None, tar(file("a", b"x")))
    found = Rootfs.from_layout(Layout(tmp_path / "image"), manifest)
    assert (found.read("/a"), found.origin) == (b"x", f"image@{manifest}")
    assert Rootfs.from_layout(Layout(tmp_path / "image"), manifest, "the base").origin == "the base"

    other = write_layout(tmp_path / "other", "sha256:" + "0" * 64, tar(file("a", b"x")))
    with pytest.raises(RefusedError, match=r"layer 0 of .*its configuration says sha256:0000"):
        Rootfs.from_layout(Layout(tmp_path / "other"), other)


def test_a_configuration_without_diff_ids_is_an_error(tmp_path: Path) -> None:
    with writing(tmp_path / "image") as writer:
        config = writer.blob(b"{}", CONFIG)
        manifest = writer.blob(msgspec.json.encode({"config": config, "layers": []}), MANIFEST)
    with pytest.raises(UsageError, match="does not list its layers' diff_ids"):
        Rootfs.from_layout(Layout(tmp_path / "image"), Digest(manifest["digest"]))
