"""Image: one thing in it that was not planned, and it is refused, each named by what is wrong."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sealift.errors import SealiftError
from sealift.rehearsal.oci_writer import LayerTar
from sealift.stations.expected import moment
from sealift.stations.gate import GateRefusedError
from tests.unit.stations.imaged import (
    GNU,
    NAME,
    PAX,
    PROGRAM,
    Image,
    base_image,
    base_tree,
    bomb,
    edited,
    entry,
    go_tar,
    library,
    look,
    packed,
    planned,
    right_image,
    settings,
)

JSON = dict[str, Any]
Change = Callable[[Image], Image]
OTHER = "sha256:" + "0" * 64
DEEP = 100_000
# Go takes it for an s.
LONG_S = "\u017f"


def refusals(folder: Path, image: Image, base: Image | None = None) -> list[str]:
    with pytest.raises(GateRefusedError) as caught:
        look(folder, image, base)
    assert caught.value.exit_code == 3
    assert {gate.station for gate in caught.value.gates} == {"image"}
    return [gate.detail for gate in caught.value.gates if gate.verdict == "refused"]


def test_what_was_planned_passes(tmp_path: Path) -> None:
    built = look(tmp_path, right_image())
    assert {gate.verdict for gate in built.gates} == {"pass"}


def test_a_layer_need_not_carry_the_mark_of_its_time(tmp_path: Path) -> None:
    assert look(tmp_path, replace(right_image(), mark={})).platforms


# Documents: what two readers would take for two things.


def text(old: bytes, new: bytes) -> Callable[[Any], bytes]:
    """Change a document's text, so that it can say what no value can."""

    def change(found: Any) -> bytes:
        raw = msgspec.json.encode(found)
        assert old in raw, raw
        return raw.replace(old, new, 1)

    return change


def also(**members: Any) -> Callable[[JSON], JSON]:
    return lambda found: found | members


def first(part: str, **members: Any) -> Callable[[JSON], JSON]:
    """Change the first, or the only, descriptor of a part."""

    def change(found: JSON) -> JSON:
        old = found[part]
        return found | {part: [old[0] | members, *old[1:]] if isinstance(old, list) else old | members}

    return change


ANYWHERE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an unknown member": (also(extra=1), "unknown field `extra`"),
    "nested too deep": (text(b"{", b'{"x":' + b"[" * DEEP + b"]" * DEEP + b","), "nested more than 16 deep"),
    "too long": (text(b"{", b"{" + b" " * (4 * 1024 * 1024)), "bytes, more than"),
    "a byte order mark": (text(b"{", b"\xef\xbb\xbf{"), "not strict JSON"),
    "more behind its end": (lambda found: msgspec.json.encode(found) + b"{}", "not strict JSON: Extra data"),
    "no UTF-8": (text(b"{", b'{"x":"\xff",'), "not strict JSON"),
    "half a character": (text(b"{", b'{"x":"\\ud800",'), "not strict JSON"),
    "NaN": (text(b"{", b'{"x":NaN,'), "NaN is not a whole number"),
    "a fraction": (text(b"{", b'{"x":1.0,'), "1.0 is not a whole number"),
    "a list": (lambda found: [found], "is not an object but a list"),
    "nothing": (lambda _: b" ", "not strict JSON"),
}
OF_INDEX: dict[str, tuple[Callable[[Any], Any], str]] = {
    "another case": (text(b"{", b'{"Manifests":[],'), "unknown field `Manifests`"),
    "another alphabet": (
        text(b"{", f'{{"manife{LONG_S}ts":[],'.encode()),
        f"unknown field `manife{LONG_S}ts`",
    ),
    "twice": (text(b"{", b'{"manifests":[],'), "the member 'manifests' stands twice"),
    "a manifest, too": (also(layers=[], config={}), "unknown field"),
    "a subject": (also(subject={}), "unknown field `subject`"),
    "a type of artifact": (also(artifactType="x"), "unknown field `artifactType`"),
    "annotations": (also(annotations={"a": "b"}), "the index: annotations: expected nothing"),
    "called a manifest": (
        also(mediaType="application/vnd.oci.image.manifest.v1+json"),
        "calls itself 'application/vnd.oci.image.manifest.v1+json'",
    ),
    "Docker's list": (
        also(mediaType="application/vnd.docker.distribution.manifest.list.v2+json"),
        "the index: mediaType: expected",
    ),
    "version 1": (also(schemaVersion=1), "has the schema version 1, not 2"),
    "data": (first("manifests", data="e30="), "unknown field `data`"),
    "urls": (first("manifests", urls=["https://elsewhere.example"]), "unknown field `urls`"),
    "a size that lies": (first("manifests", size=7), "manifests[0].size: expected"),
    "a negative size": (first("manifests", size=-1), "with a size of -1"),
    "an entry for no platform": (
        lambda f: (
            f
            | {
                "manifests": [
                    *f["manifests"],
                    f["manifests"][0] | {"platform": {"os": "unknown", "architecture": "unknown"}},
                ]
            }
        ),
        "for no known platform",
    ),
    "no platform": (
        lambda f: f | {"manifests": [{k: v for k, v in f["manifests"][0].items() if k != "platform"}]},
        "for no known platform",
    ),
    "a version of the system": (
        first("manifests", platform={"os": "linux", "architecture": "amd64", "os.version": "9"}),
        "unknown field `os.version`",
    ),
    "a variant": (
        first("manifests", platform={"os": "linux", "architecture": "amd64", "variant": "v9"}),
        "platforms: expected ['linux/amd64'], got ['linux/amd64/v9']",
    ),
    "a system in capitals": (
        first("manifests", platform={"os": "Linux", "architecture": "amd64"}),
        "platforms: expected ['linux/amd64'], got []",
    ),
    "a manifest that is not there": (first("manifests", digest=OTHER), "lacks the blob"),
    "an index in it": (
        first("manifests", mediaType="application/vnd.oci.image.index.v1+json"),
        "with the media type 'application/vnd.oci.image.index.v1+json'",
    ),
}
OF_MANIFEST: dict[str, tuple[Callable[[Any], Any], str]] = {
    "another case": (text(b"{", b'{"Layers":[],'), "unknown field `Layers`"),
    "the configuration in another case": (text(b"{", b'{"Config":{},'), "unknown field `Config`"),
    "twice": (text(b"{", b'{"layers":[],'), "the member 'layers' stands twice"),
    "an index, too": (also(manifests=[]), "unknown field `manifests`"),
    "a subject": (also(subject={}), "unknown field `subject`"),
    "a type of artifact": (also(artifactType="x"), "unknown field `artifactType`"),
    "annotations": (also(annotations={"a": "b"}), "manifest: annotations: expected nothing"),
    "data of the configuration": (first("config", data="e30="), "unknown field `data`"),
    "urls of a layer": (first("layers", urls=["https://elsewhere.example"]), "unknown field `urls`"),
    "a foreign layer": (
        first("layers", mediaType="application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
        "with the media type 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip'",
    ),
    "a layer called plain": (
        first("layers", mediaType="application/vnd.oci.image.layer.v1.tar"),
        "with the media type 'application/vnd.oci.image.layer.v1.tar'",
    ),
    "a layer with a mark": (
        first("layers", annotations={"a": "b"}),
        "layers[0].annotations: expected nothing",
    ),
    "a layer for a platform": (
        first("layers", platform={"os": "linux", "architecture": "amd64"}),
        "gives a platform",
    ),
    "a size that lies": (first("config", size=7), "manifest: config.size: expected"),
    "a size of a layer that lies": (first("layers", size=7), "its manifest says 7"),
    "a layer that is not there": (first("layers", digest=OTHER), "lacks the blob"),
    "a configuration that is not there": (first("config", digest=OTHER), "lacks the blob"),
    "another media type of the configuration": (
        first("config", mediaType="application/vnd.in-toto+json"),
        "with the media type 'application/vnd.in-toto+json'",
    ),
}
OF_CONFIGURATION: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a member in another case": (text(b"{", b'{"Config":{"User":"0"},'), "unknown field `Config`"),
    "the root in another case": (text(b"{", b'{"Rootfs":{},'), "unknown field `Rootfs`"),
    "user in another case": (text(b'"User":', b'"user":"0:0","User":'), "unknown field `user`"),
    "env in another case": (text(b'"Env":', b'"env":["LD_PRELOAD=/tmp/x"],"Env":'), "unknown field `env`"),
    "user twice": (text(b'"User":', b'"User":"0:0","User":'), "the member 'User' stands twice"),
    "created in the future": (also(created="2999-01-01T00:00:00Z"), "configuration: created: expected"),
    "a version of the system": (also(**{"os.version": "10.0"}), "unknown field `os.version`"),
    "a feature of the system": (also(**{"os.features": ["win32k"]}), "unknown field `os.features`"),
    "a variant": (also(variant="v9"), "configuration: variant: expected nothing, got 'v9'"),
    "an author": (also(author="Mallory"), "configuration: author: expected nothing, got 'Mallory'"),
    "another system": (also(os="freebsd"), "platform in the configuration: expected linux/amd64"),
    "another root": (also(rootfs={"type": "other", "diff_ids": []}), "has a root of the type 'other'"),
    "another layer of the base": (
        lambda f: f | {"rootfs": f["rootfs"] | {"diff_ids": [OTHER, *f["rootfs"]["diff_ids"][1:]]}},
        "configuration: rootfs.diff_ids[0]: expected",
    ),
    "no history": (also(history=[]), "history: 0 steps for 2 layers"),
    "another history of the base": (
        lambda f: f | {"history": [f["history"][0] | {"created_by": "RUN true"}, *f["history"][1:]]},
        "history: history[0].created_by: expected 'sealift rehearsal', got 'RUN true'",
    ),
    "a step that did not happen": (
        lambda f: f | {"history": [*f["history"][:-1], f["history"][-1] | {"created_by": "RUN make check"}]},
        "'RUN make check' is not what a planned image is made with",
    ),
    "a copy of something else": (
        lambda f: (
            f
            | {
                "history": [
                    s | ({"created_by": "COPY / / # buildkit"} if s["created_by"].startswith("COPY") else {})
                    for s in f["history"]
                ]
            }
        ),
        "'COPY / / # buildkit' is not what a planned image is made with",
    ),
    "a step at another time": (
        lambda f: (
            f | {"history": [*f["history"][:-1], f["history"][-1] | {"created": "2000-01-01T00:00:00Z"}]}
        ),
        "created: expected",
    ),
    "a step by another builder": (
        lambda f: f | {"history": [*f["history"][:-1], f["history"][-1] | {"comment": "by hand"}]},
        "made by 'by hand', not by BuildKit",
    ),
}


def on(part: str, change: Callable[[Any], Any]) -> Image:
    changes: JSON = {part: change}
    return replace(right_image(), **changes)


@pytest.mark.parametrize("part", ["top", "index", "manifest", "configuration"])
@pytest.mark.parametrize("name", ANYWHERE)
def test_a_document_that_can_be_read_in_two_ways_is_refused(tmp_path: Path, part: str, name: str) -> None:
    change, words = ANYWHERE[name]
    (reason,) = refusals(tmp_path, on(part, change))
    assert words in reason


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *(("index", name) for name in OF_INDEX),
        *(("manifest", name) for name in OF_MANIFEST),
        *(("configuration", name) for name in OF_CONFIGURATION),
    ],
)
def test_a_document_that_was_not_planned_is_refused(tmp_path: Path, part: str, name: str) -> None:
    table = {"index": OF_INDEX, "manifest": OF_MANIFEST, "configuration": OF_CONFIGURATION}[part]
    change, words = table[name]
    found = refusals(tmp_path, on(part, change))
    assert any(words in reason for reason in found), found


SETTINGS: dict[str, tuple[JSON, str]] = {
    "root": ({"User": "0:0"}, "user: expected 65532:65532, got 0:0"),
    "a label more": (
        {"Labels": settings()["Labels"] | {"run": "docker run --privileged IMAGE"}},
        "label run: expected None",
    ),
    "a port for a shell": ({"ExposedPorts": {"22/tcp": {}}}, "ExposedPorts: 22/tcp is not one of"),
    "a port that means something": (
        {"ExposedPorts": {"8080/tcp": {"x": 1}}},
        "ExposedPorts: 8080/tcp is not one of",
    ),
    "a check once a year": (
        {"Healthcheck": settings()["Healthcheck"] | {"Interval": 365 * 86400 * 10**9}},
        "health check: interval is",
    ),
    "a check that never fails": (
        {"Healthcheck": settings()["Healthcheck"] | {"Retries": 1000}},
        "health check: retries is 1000, expected 1 to 10",
    ),
    "a check with more": (
        {"Healthcheck": settings()["Healthcheck"] | {"Shell": "/bin/sh"}},
        "unknown field `Shell`",
    ),
    "no check": ({"Healthcheck": {}}, "health check: expected ['CMD',"),
    "a check that is none": ({"Healthcheck": {"Test": ["NONE"]}}, "health check: expected ['CMD',"),
    "a check of something else": ({"Healthcheck": {"Test": [1]}}, "Expected `str`, got `int`"),
    "another time to stop": ({"StopTimeout": 600}, "unknown field `StopTimeout`"),
    "a terminal": ({"Tty": True}, "settings: Tty: expected nothing, got True"),
    "an open input": ({"OpenStdin": True}, "settings: OpenStdin: expected nothing"),
    "a host name": ({"Hostname": "other"}, "settings: Hostname: expected nothing"),
    "no network": ({"NetworkDisabled": True}, "unknown field `NetworkDisabled`"),
    "volumes": ({"Volumes": {"/": {}}}, "Volumes of the base: expected None"),
    "a trigger": ({"OnBuild": ["RUN true"]}, "OnBuild of the base: expected None"),
    "a shell": ({"Shell": ["/bin/sh", "-c"]}, "Shell of the base: expected None"),
    "a signal": ({"StopSignal": "SIGKILL"}, "StopSignal of the base: expected None"),
    "a library before all others": (
        {"Env": [*settings()["Env"], "LD_PRELOAD=/tmp/x"]},
        "Env of the base: expected",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_more_than_was_described_is_refused(tmp_path: Path, name: str) -> None:
    changed, words = SETTINGS[name]
    found = refusals(tmp_path, right_image().saying(**changed))
    assert any(words in reason for reason in found), found


# The layer above the base.

RIGHT = go_tar((entry(), PROGRAM))


def of_one(**changed: Any) -> bytes:
    return go_tar((entry(**changed), PROGRAM))


def extended(records: dict[str, str], name: str = NAME, data: bytes = PROGRAM) -> bytes:
    info = entry(name, len(data))
    info.pax_headers = records
    return go_tar((info, data), form=PAX)


def global_header() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=PAX, pax_headers={"path": "etc/passwd"}) as out:
        out.addfile(entry(), io.BytesIO(PROGRAM))
    return raw.getvalue()


def linked(kind: bytes, name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, 0, type=kind, linkname=target), b""


FOLDER = tarfile.DIRTYPE
EVIL = b"\x7fELF another program"
LAYERS: dict[str, tuple[bytes, str]] = {
    "mode 0777": (of_one(mode=0o777), "entries of the layer: expected"),
    "setuid": (of_one(mode=0o4755), "setuid: ['/health-caretaker']"),
    "sticky": (of_one(mode=0o1755), "entries of the layer: expected"),
    "another owner": (of_one(uid=1000), "entries of the layer: expected"),
    "another group": (of_one(gid=1000), "entries of the layer: expected"),
    "an owner's name": (of_one(uname="mallory"), "entries of the layer: expected"),
    "another time": (of_one(mtime=planned().time + 1), "entries of the layer: expected"),
    "a capability": (
        extended({"SCHILY.xattr.security.capability": "\x01"}),
        "of the type b'x'",
    ),
    "an access list": (extended({"SCHILY.acl.access": "user::rwx"}), "of the type b'x'"),
    "a name in an extension": (extended({"path": "etc/passwd"}), "of the type b'x'"),
    "an empty name in an extension": (extended({"path": ""}), "of the type b'x'"),
    "a sparse name": (extended({"GNU.sparse.name": "etc/passwd"}), "of the type b'x'"),
    "a global header": (global_header(), "of the type b'g'"),
    "a long name of GNU": (
        go_tar((entry("a" * 120), PROGRAM), form=GNU),
        "of another format",
    ),
    "GNU's format": (go_tar((entry(), PROGRAM), form=GNU), "of another format"),
    "the oldest format": (edited(257, b"\0" * 8), "of another format"),
    "the oldest type": (edited(156, b"\0"), "of the type b'\\x00'"),
    "contiguous": (edited(156, b"7"), "of the type b'7'"),
    "a sparse file": (edited(156, b"S"), "of a type that sealift does not know"),
    "a second name behind the first": (
        edited(len(NAME) + 1, b"etc/passwd"),
        "hides bytes behind the end of a name",
    ),
    "a prefix": (edited(345, b"etc"), "entries of the layer: expected"),
    "a target of a file": (edited(157, b"etc"), "a file, the target 'etc'"),
    "a number in another base": (edited(108, b"\x80\0\0\0\0\0\0\0"), "not written in octal"),
    "a number with a sign": (edited(100, b"-000755\0"), "not written in octal"),
    "bytes after the header": (edited(500, b"hello"), "has bytes after its header"),
    "a wrong sum": (RIGHT[:148] + b"000000\0 " + RIGHT[156:], "is not a whole tar"),
    "bytes in the padding": (RIGHT[:600] + b"x" + RIGHT[601:], "has bytes between two entries"),
    "no end": (RIGHT[:-1024], "has no end"),
    "half an end": (RIGHT[:-512], "after its last entry"),
    "a longer end": (RIGHT + b"\0" * 512, "ends with 1536 bytes after its last entry"),
    "a second archive": (RIGHT + RIGHT, "goes on after its end"),
    "no whole blocks": (RIGHT + b"\0", "no number of whole blocks"),
    "cut": (RIGHT[:700], "is not a whole tar"),
    "the program twice": (go_tar((entry(), PROGRAM), (entry(), PROGRAM)), "holds 'health-caretaker' twice"),
    "the program twice, in other words": (
        go_tar((entry(), PROGRAM), (entry(f"./{NAME}"), PROGRAM)),
        "not in its one plain form",
    ),
    "from here": (of_one(name=f"./{NAME}"), "not in its one plain form"),
    "from the root": (of_one(name=f"/{NAME}"), "not in its one plain form"),
    "through a folder above": (of_one(name=f"tmp/../{NAME}"), "holds the path"),
    "with two slashes": (of_one(name=f"tmp//{NAME}"), "not in its one plain form"),
    "a file that ends as a folder": (edited(len(NAME), b"/"), "not in its one plain form"),
    "the root as a file": (go_tar((entry("./"), PROGRAM)), "holds the path"),
    "a line feed in a name": (of_one(name=f"{NAME}\n"), "not in its one plain form"),
    "a backslash in a name": (of_one(name=f"tmp\\{NAME}"), "not in its one plain form"),
    "a folder more": (
        go_tar((entry("opt/", 0, type=FOLDER), b""), (entry(), PROGRAM)),
        "entries of the layer: expected",
    ),
    "the root opened": (
        go_tar((entry("./", 0, type=FOLDER, mode=0o777), b""), (entry(), PROGRAM)),
        "entries of the layer: expected",
    ),
    "a file more": (go_tar((entry(), PROGRAM), (entry("extra", 0), b"")), "files above the base: expected"),
    "a hard link": (
        go_tar((entry(), PROGRAM), linked(tarfile.LNKTYPE, "other", NAME)),
        "entries of the layer",
    ),
    "a hard link first": (
        go_tar(linked(tarfile.LNKTYPE, "a", NAME), (entry(), PROGRAM)),
        "no file before it",
    ),
    "a link in the program's place": (
        go_tar(linked(tarfile.SYMTYPE, NAME, "/opt/x")),
        "entries of the layer",
    ),
    "a device": (
        go_tar((entry(), PROGRAM), (entry("null", 0, type=tarfile.CHRTYPE), b"")),
        "entries of the layer",
    ),
    "a whiteout": (go_tar((entry(), PROGRAM), (entry("etc/.wh.passwd", 0), b"")), "hides or marks files"),
    "an opaque folder": (
        go_tar((entry(), PROGRAM), (entry("etc/.wh..wh..opq", 0), b"")),
        "hides or marks files",
    ),
    "a folder that engines pass over, or do not": (
        go_tar((entry(), PROGRAM), (entry(".wh..wh.x/su", len(EVIL), mode=0o4755), EVIL)),
        "hides or marks files",
    ),
    "another program": (go_tar((entry(size=len(EVIL)), EVIL)), "binary in the layer: expected"),
    "nothing": (go_tar(), "entries of the layer: expected"),
    "6 GB of nothing": (b"", "unpacks to more than 67108864 bytes"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_with_one_thing_else_is_refused(tmp_path: Path, name: str) -> None:
    tar, words = LAYERS[name]
    image = right_image()
    changed = image.topped(RIGHT, bomb()) if name == "6 GB of nothing" else image.topped(tar)
    found = refusals(tmp_path, changed)
    assert any(words in reason for reason in found), found


def named_gzip() -> bytes:
    raw = io.BytesIO()
    with gzip.GzipFile(filename="x", fileobj=raw, mode="wb", mtime=0) as stream:
        stream.write(RIGHT)
    return raw.getvalue()


WRAPPINGS: dict[str, tuple[bytes, str]] = {
    "plain": (RIGHT, "wrapping of the layer: expected , got not compressed"),
    "zeros behind": (gzip.compress(RIGHT, mtime=0) + b"\0" * 9, "got gzip with 9 zeros behind it"),
    "words behind": (gzip.compress(RIGHT, mtime=0) + b"hello", "is not a whole tar"),
    "two streams": (gzip.compress(RIGHT[:700]) + gzip.compress(RIGHT[700:]), "got 2 gzip streams, not one"),
    "an empty stream more": (gzip.compress(RIGHT) + gzip.compress(b""), "got 2 gzip streams, not one"),
    "a name in gzip": (named_gzip(), "got gzip with more than its data"),
    "cut": (gzip.compress(RIGHT)[:-4], "is not a whole tar"),
    "a wrong sum": (gzip.compress(RIGHT)[:-8] + b"\0" * 8, "is not a whole tar"),
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_a_layer_that_is_wrapped_in_another_way_is_refused(tmp_path: Path, name: str) -> None:
    blob, words = WRAPPINGS[name]
    found = refusals(tmp_path, right_image().topped(RIGHT, blob))
    assert any(words in reason for reason in found), found


def test_a_layer_more_is_refused(tmp_path: Path) -> None:
    image = right_image()
    more = replace(image, layers=(*image.layers, packed(go_tar())))
    assert any("layers: expected 2, got 3" in reason for reason in refusals(tmp_path, more))


# The base: the same in it and in the image above it.

BASES: dict[str, tuple[Callable[[LayerTar], LayerTar], str]] = {
    "a device": (
        lambda t: t.copy(archive((entry("dev/sda", 0, type=tarfile.BLKTYPE), b""))),
        "devices and pipes: /dev/sda",
    ),
    "a pipe": (
        lambda t: t.copy(archive((entry("pipe", 0, type=tarfile.FIFOTYPE), b""))),
        "devices and pipes: /pipe",
    ),
    "a setgid folder": (lambda t: t.directory("srv", 0o2755), "setuid or setgid folders: /srv"),
    "a folder for every user": (
        lambda t: t.directory("srv", 0o777),
        "folders that every user may write to: /srv",
    ),
    "a sticky folder for every user": (lambda t: t.directory("srv", 0o1777), "may write to: /srv"),
    "a file for every user": (
        lambda t: t.file("etc/group", b"", 0o666),
        "others than their owner may write to: /etc/group",
    ),
    "a file of the service's user": (
        lambda t: t.copy(archive((entry("etc/group", 0, uid=65532, gid=65532), b""))),
        "files of another owner: /etc/group",
    ),
    "python": (
        lambda t: t.file("usr/bin/python3", library("", entry_point=4096), 0o755),
        "programs: /usr/bin/python3",
    ),
    "a package manager": (
        lambda t: t.file("usr/bin/dpkg", library("", interpreter=True), 0o755),
        "programs: /usr/bin/dpkg",
    ),
    "a program of the oldest kind": (
        lambda t: t.file("opt/x", library("", kind=2), 0o755),
        "programs: /opt/x",
    ),
    "a program without the right to execute it": (
        lambda t: t.file("opt/x", library(""), 0o644),
        "programs: /opt/x",
    ),
    "a program called a library": (
        lambda t: t.file("usr/lib/libx.so.1", library("", entry_point=4096), 0o755),
        "programs: /usr/lib/libx.so.1",
    ),
    "a script": (lambda t: t.file("usr/bin/apt", b"#!/usr/bin/perl\n", 0o755), "scripts: /usr/bin/apt"),
    "half a program": (
        lambda t: t.file("opt/x", b"\x7fELF\x02\x01", 0o755),
        "ELF files that cannot be read: /opt/x",
    ),
    "the beginning of a program": (
        lambda t: t.file("opt/x", b"\x7fELF", 0o755),
        "ELF files that cannot be read: /opt/x",
    ),
    "a whiteout": (lambda t: t.file("etc/.wh.x", b""), "hides or marks files"),
}


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(go_tar(*members)))


@pytest.mark.parametrize("name", BASES)
def test_a_base_with_one_thing_more_is_refused(tmp_path: Path, name: str) -> None:
    add, words = BASES[name]
    below = replace(base_image(), layers=(add(base_tree()).pack(),))
    found = refusals(tmp_path, right_image(below), below)
    assert any(words in reason for reason in found), found


RECORDS: dict[str, tuple[dict[str, str], str]] = {
    "a capability": ({"SCHILY.xattr.security.capability": "\x01"}, "'SCHILY.xattr.security.capability'"),
    "an access list": ({"SCHILY.acl.access": "user::rwx"}, "'SCHILY.acl.access'"),
    "an access list of BSD": ({"LIBARCHIVE.xattr.user.x": "eA=="}, "'LIBARCHIVE.xattr.user.x'"),
    "a sparse name": ({"GNU.sparse.name": "etc/passwd"}, "'GNU.sparse.name'"),
    "another owner": ({"uid": "65532"}, "'uid'"),
    "an empty name": ({"path": ""}, "'path' twice or empty"),
    "a name that climbs": ({"path": "../x"}, "holds the path '../x'"),
    "a character set": ({"hdrcharset": "BINARY"}, "'hdrcharset'"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_base_with_a_record_that_means_more_is_refused(tmp_path: Path, name: str) -> None:
    records, words = RECORDS[name]
    below = replace(base_image(), layers=(packed(extended(records, "usr/lib/x")),))
    found = refusals(tmp_path, right_image(below), below)
    assert any(words in reason for reason in found), found


def test_a_base_may_have_long_names_and_finer_times(tmp_path: Path) -> None:
    """Of GNU's tar, and of bsdtar, with which Bazel packs."""
    long = "usr/share/" + "a" * 120
    gnu = go_tar((entry(long, 1), b"x"), form=GNU)
    pax = extended({"mtime": "1.5", "LIBARCHIVE.creationtime": "1.5"}, f"{long}b", b"x")
    below = replace(
        base_image(), layers=(base_tree().pack(), packed(gnu), packed(pax)), steps=base_image().steps * 3
    )
    assert look(tmp_path, right_image(below), below).platforms


BASE_SETTINGS: dict[str, tuple[JSON, str]] = {
    "a library before all others": ({"Env": ["LD_PRELOAD=/tmp/x"]}, "Env 'LD_PRELOAD=/tmp/x'"),
    "a path for a shell": ({"Env": ["PATH=/busybox:/usr/bin"]}, "Env 'PATH=/busybox:/usr/bin'"),
    "arguments": ({"Cmd": ["-x"]}, "Cmd: expected nothing, got ['-x']"),
    "an entrypoint": ({"Entrypoint": ["/busybox/sh"]}, "Entrypoint: expected nothing"),
    "volumes": ({"Volumes": {"/data": {}}}, "Volumes: expected nothing"),
    "a label": ({"Labels": {"run": "docker run"}}, "label 'run'"),
    "another user": ({"User": "1000"}, "User '1000'"),
    "another folder": ({"WorkingDir": "/opt"}, "WorkingDir '/opt'"),
    "ports": ({"ExposedPorts": {"22/tcp": {}}}, "ExposedPorts: expected nothing"),
    "a trigger": ({"OnBuild": ["RUN true"]}, "OnBuild: expected nothing"),
}


@pytest.mark.parametrize("name", BASE_SETTINGS)
def test_a_base_that_says_one_thing_more_is_refused(tmp_path: Path, name: str) -> None:
    changed, words = BASE_SETTINGS[name]
    below = base_image().saying(**changed)
    inherited = {k: v for k, v in changed.items() if k in ("Env", "WorkingDir", "Volumes", "OnBuild")}
    found = refusals(tmp_path, right_image(below).saying(**inherited), below)
    assert f"linux/amd64: settings of the base: {words}" in [reason[: 35 + len(words)] for reason in found]


def test_a_base_may_say_nothing_in_many_words(tmp_path: Path) -> None:
    """As Docker's own builder did: every member, most of them empty."""
    below = base_image().saying(Cmd=None, Entrypoint=[], Labels={}, Tty=False, Hostname="", Image="")
    assert look(tmp_path, right_image(below), below).platforms


@given(data=st.data())
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_layer_is_refused_or_is_the_right_one(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tar = bytearray(RIGHT)
    for _ in range(data.draw(st.integers(1, 3))):
        tar[data.draw(st.integers(0, len(tar) - 1))] = data.draw(st.integers(0, 255))
    code = outcome(tmp_path_factory.mktemp("damaged"), right_image().topped(bytes(tar)))
    assert code == 3 or (code == 0 and bytes(tar) == RIGHT)


@given(data=st.data())
@hypothesis_settings(max_examples=80, deadline=None)
def test_a_damaged_document_is_refused_or_says_the_same(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    part = data.draw(st.sampled_from(["top", "index", "manifest", "configuration"]))

    def change(found: Any) -> bytes:
        raw = bytearray(msgspec.json.encode(found))
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
        written.append((msgspec.json.encode(found), bytes(raw)))
        return bytes(raw)

    written: list[tuple[bytes, bytes]] = []
    code = outcome(tmp_path_factory.mktemp("damaged"), on(part, change))
    ((before, after),) = written
    # index.json says nothing of what ships but its digest; with another one in it, it is no layout.
    assert code in ((0, 2, 3) if part == "top" else (0, 3))
    assert code or part == "top" or said(after) == said(before)


def outcome(folder: Path, image: Image) -> int:
    """Return the exit code; anything but our own errors goes on."""
    try:
        look(folder, image)
    except SealiftError as err:
        return err.exit_code
    return 0


def said(raw: bytes) -> JSON:
    """Read a document without what a Dockerfile may word as it likes."""
    found: JSON = msgspec.json.decode(raw)
    for step in found.get("history", ()):
        if step["created_by"].startswith(("ARG", "COPY")):
            step["created_by"] = ""
    return found


@pytest.mark.parametrize(
    ("written", "rewritten"),
    [
        ("2020-01-01T00:00:00.000000000Z", "2020-01-01T00:00:00Z"),
        ("2020-01-01T00:00:00.120Z", "2020-01-01T00:00:00.12Z"),
        ("2020-01-01T00:00:10+00:00", "2020-01-01T00:00:10Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_a_base_may_write_its_times_in_another_way_than_go(
    tmp_path: Path, written: str, rewritten: str
) -> None:
    step = {"created_by": "bazel build ...", "author": "Bazel"}
    below = replace(base_image(), steps=(step | {"created": written},))
    image = replace(right_image(), steps=(step | {"created": rewritten}, *right_image().steps[1:]))
    assert look(tmp_path, image, below).platforms


def test_a_base_may_have_no_history(tmp_path: Path) -> None:
    """BuildKit then fills it up, at the end."""
    filled = {"created": moment(planned().time), "created_by": "x", "comment": "buildkit.exporter.image.v0"}
    image = replace(right_image(), steps=(*right_image().steps[1:], filled))
    assert look(tmp_path, image, replace(base_image(), steps=())).platforms
