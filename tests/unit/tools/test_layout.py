"""Reading an OCI layout: the right blob, or a clear no."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import RefusedError, SealiftError, UsageError
from sealift.model.names import Digest, Platform
from sealift.tools.layout import Layout

AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64", "variant": "v8"}
UNKNOWN = {"os": "unknown", "architecture": "unknown"}


def put(root: Path, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (blobs / digest).write_bytes(content)
    return {"mediaType": "text/plain", "digest": f"sha256:{digest}", "size": len(content)}


def put_json(root: Path, value: object) -> dict[str, Any]:
    return put(root, json.dumps(value).encode())


def image(root: Path, name: str) -> dict[str, Any]:
    config = put_json(root, {"config": {"User": "65532"}, "name": name})
    layers = [put(root, b"lower"), put(root, name.encode())]
    return put_json(root, {"config": config, "layers": layers})


def layout(root: Path, *entries: dict[str, Any]) -> Layout:
    index = put_json(root, {"manifests": list(entries)})
    (root / "index.json").write_text(json.dumps({"manifests": [index]}))
    return Layout(root)


def test_finds_platforms_config_and_layers(tmp_path: Path) -> None:
    amd, arm = image(tmp_path, "amd"), image(tmp_path, "arm")
    built = layout(
        tmp_path, amd | {"platform": AMD64}, arm | {"platform": ARM64}, amd | {"platform": UNKNOWN}
    )
    found = built.platforms(built.index())
    assert found == {Platform("linux/amd64"): amd["digest"], Platform("linux/arm64"): arm["digest"]}
    arm_digest = found[Platform("linux/arm64")]
    assert built.config(arm_digest)["config"]["User"] == "65532"
    assert built.manifest(arm_digest)["layers"][0]["size"] == 5
    lower, upper = built.layers(arm_digest)
    assert (lower.path.read_bytes(), upper.path.read_bytes()) == (b"lower", b"arm")
    assert (upper.size, upper.media_type) == (3, "text/plain")


def test_one_digest_under_two_names_is_one_image(tmp_path: Path) -> None:
    entry = image(tmp_path, "amd")
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [entry, entry]}))
    assert Layout(tmp_path).index() == entry["digest"]


@pytest.mark.parametrize("count", [0, 2])
def test_index_must_name_exactly_one(tmp_path: Path, count: int) -> None:
    entries = [image(tmp_path, str(n)) for n in range(count)]
    (tmp_path / "index.json").write_text(json.dumps({"manifests": entries}))
    with pytest.raises(UsageError, match=f"names {count} images"):
        Layout(tmp_path).index()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"manifests": [{}]}', '{"manifests": [{"digest": 1}]}'])
def test_a_broken_index_is_a_plain_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(UsageError, match=r"index\.json"):
        Layout(tmp_path).index()


def test_a_folder_without_an_index_is_no_layout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not an OCI image layout"):
        Layout(tmp_path).index()


def test_a_changed_blob_is_refused(tmp_path: Path) -> None:
    built = layout(tmp_path, image(tmp_path, "amd") | {"platform": AMD64})
    path = built.blob_path(built.index())
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(RefusedError, match="other bytes"):
        built.read(built.index())


def test_a_layer_of_another_size_is_refused(tmp_path: Path) -> None:
    entry = image(tmp_path, "amd")
    built = layout(tmp_path, entry | {"platform": AMD64})
    built.layers(Digest(entry["digest"]))[0].path.write_bytes(b"more than before")
    with pytest.raises(RefusedError, match="its manifest says 5"):
        built.layers(Digest(entry["digest"]))


def test_a_missing_blob_is_named(tmp_path: Path) -> None:
    absent = Digest("sha256:" + "0" * 64)
    with pytest.raises(UsageError, match=absent):
        layout(tmp_path).read(absent)


def test_two_manifests_for_one_platform_are_refused(tmp_path: Path) -> None:
    built = layout(
        tmp_path,
        image(tmp_path, "a") | {"platform": ARM64},
        image(tmp_path, "b") | {"platform": {**ARM64, "variant": ""}},
    )
    with pytest.raises(RefusedError, match="linux/arm64 twice"):
        built.platforms(built.index())


@pytest.mark.parametrize(
    "ask", [Layout.platforms, Layout.config, Layout.layers], ids=["platforms", "config", "layers"]
)
def test_json_of_another_kind_is_a_plain_error(
    tmp_path: Path, ask: Callable[[Layout, Digest], object]
) -> None:
    other = put_json(tmp_path, {"hello": 1})
    with pytest.raises(SealiftError, match="not what an OCI layout holds"):
        ask(Layout(tmp_path), Digest(other["digest"]))


def test_an_entry_without_platform_is_an_error(tmp_path: Path) -> None:
    built = layout(tmp_path, image(tmp_path, "a"))
    with pytest.raises(UsageError, match="without a platform"):
        built.platforms(built.index())


OTHERS: dict[str, list[dict[str, Any]]] = {
    "arm": [
        {"os": "linux", "architecture": "arm", "variant": "v5"},
        {"os": "linux", "architecture": "arm", "variant": "v7"},
    ],
    "windows": [
        {"os": "windows", "architecture": "amd64", "os.version": "10.0.1"},
        {"os": "windows", "architecture": "amd64", "os.version": "10.0.2"},
    ],
    "levels": [
        {"os": "linux", "architecture": "amd64", "variant": "v2"},
        {"os": "linux", "architecture": "amd64", "variant": "v3"},
    ],
    "the same twice": [{"os": "linux", "architecture": "s390x"}, {"os": "linux", "architecture": "s390x"}],
    "attestations": [UNKNOWN, UNKNOWN],
    "no names": [{"os": "", "architecture": ""}, {"os": "Weird OS", "architecture": "x"}],
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_platforms_never_matter(tmp_path: Path, name: str) -> None:
    ours = image(tmp_path, "ours") | {"platform": AMD64}
    entries = [image(tmp_path, f"{n}") | {"platform": platform} for n, platform in enumerate(OTHERS[name])]
    built = layout(tmp_path, *entries, ours, image(tmp_path, "referrer"))
    found = built.platforms(built.index())
    assert found[Platform("linux/amd64")] == found.of(Platform("linux/amd64")) == ours["digest"]


def test_two_images_for_our_platform_are_named(tmp_path: Path) -> None:
    one, two, other = (image(tmp_path, name) for name in ("one", "two", "other"))
    plain = AMD64 | {"variant": "v1"}
    built = layout(
        tmp_path, one | {"platform": AMD64}, other | {"platform": ARM64}, two | {"platform": plain}
    )
    found = built.platforms(built.index())
    assert found[Platform("linux/arm64")] == other["digest"]
    for ask in (found.__getitem__, found.get, found.of):
        with pytest.raises(RefusedError, match=f"linux/amd64 twice: {one['digest']} and {two['digest']}"):
            ask(Platform("linux/amd64"))


def test_a_platform_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    built = layout(
        tmp_path, image(tmp_path, "arm") | {"platform": {**ARM64, "architecture": "arm", "variant": "v6"}}
    )
    with pytest.raises(UsageError, match="no image for linux/amd64") as caught:
        built.platforms(built.index()).of(Platform("linux/amd64"))
    assert caught.value.means == "it has linux/arm/v6"
