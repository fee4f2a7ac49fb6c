"""Image: base images that hold more than a distroless base may; the image above them adds nothing to it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealift.rehearsal.oci_writer import LayerTar
from sealift.stations.gate import GateRefusedError
from tests.attacks.catalogue import Attack, Kind, attacks, each, refusals
from tests.unit.elf.tars import file, folder, hard_link, link, tar
from tests.unit.stations.imaged import (
    base_image,
    base_tree,
    entry,
    extended,
    go_tar,
    library,
    look,
    packed,
    right_image,
)

JSON = dict[str, Any]


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(go_tar(*members)))


@each(
    *attacks(
        Kind.BASES,
        "image",
        {
            "a base with a device": (
                lambda t: t.copy(archive((entry("dev/sda", 0, type=tarfile.BLKTYPE), b""))),
                "devices and pipes: /dev/sda",
            ),
            "a base with a named pipe": (
                lambda t: t.copy(archive((entry("pipe", 0, type=tarfile.FIFOTYPE), b""))),
                "devices and pipes: /pipe",
            ),
            "a base with a setgid folder": (
                lambda t: t.directory("srv", 0o2755),
                "setuid or setgid folders: /srv",
            ),
            "a base with a folder that every user may write to": (
                lambda t: t.directory("srv", 0o777),
                "folders that every user may write to: /srv",
            ),
            "a base with a sticky folder beside /tmp that every user may write to": (
                lambda t: t.directory("srv", 0o1777),
                "may write to: /srv",
            ),
            "a base with a file that every user may write to": (
                lambda t: t.file("etc/group", b"", 0o666),
                "others than their owner may write to: /etc/group",
            ),
            "a base with a file of the service's user": (
                lambda t: t.copy(archive((entry("etc/group", 0, uid=65532, gid=65532), b""))),
                "files of another owner: /etc/group",
            ),
            "a base with Python": (
                lambda t: t.file("usr/bin/python3", library("", entry_point=4096), 0o755),
                "programs: /usr/bin/python3",
            ),
            "a base with dpkg": (
                lambda t: t.file("usr/bin/dpkg", library("", interpreter=True), 0o755),
                "programs: /usr/bin/dpkg",
            ),
            "a base with a program of type ET_EXEC": (
                lambda t: t.file("opt/x", library("", kind=2), 0o755),
                "programs: /opt/x",
            ),
            "a base with a program that is not executable": (
                lambda t: t.file("opt/x", library(""), 0o644),
                "programs: /opt/x",
            ),
            "a base with a program that is called a library": (
                lambda t: t.file("usr/lib/libx.so.1", library("", entry_point=4096), 0o755),
                "programs: /usr/lib/libx.so.1",
            ),
            "a base with a script": (
                lambda t: t.file("usr/bin/apt", b"#!/usr/bin/perl\n", 0o755),
                "scripts: /usr/bin/apt",
            ),
            "a base with half an ELF header": (
                lambda t: t.file("opt/x", b"\x7fELF\x02\x01", 0o755),
                "ELF files that cannot be read: /opt/x",
            ),
            "a base with the first bytes of an ELF file": (
                lambda t: t.file("opt/x", b"\x7fELF", 0o755),
                "ELF files that cannot be read: /opt/x",
            ),
            "a base with a whiteout": (lambda t: t.file("etc/.wh.x", b""), "hides or marks files"),
        },
    )
)
def test_image_rejects_base_with_other_files(
    tmp_path: Path, attack: Attack[Callable[[LayerTar], LayerTar]]
) -> None:
    below = replace(base_image(), layers=(attack.artefact(base_tree()).pack(),))
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, right_image(below), below)
    attack.assert_blocked_by(caught.value)


@each(
    *attacks(
        Kind.BASES,
        "image",
        {
            "a base with a file capability": (
                {"SCHILY.xattr.security.capability": "\x01"},
                "'SCHILY.xattr.security.capability'",
            ),
            "a base with an access list": ({"SCHILY.acl.access": "user::rwx"}, "'SCHILY.acl.access'"),
            "a base with an extended attribute of bsdtar": (
                {"LIBARCHIVE.xattr.user.x": "eA=="},
                "'LIBARCHIVE.xattr.user.x'",
            ),
            "a base with a GNU sparse name": ({"GNU.sparse.name": "etc/passwd"}, "'GNU.sparse.name'"),
            "a base with a PAX `uid`": ({"uid": "65532"}, "'uid'"),
            "a base with an empty PAX `path`": ({"path": ""}, "'path' twice or empty"),
            "a base with a PAX `path` through ..": ({"path": "../x"}, "holds the path '../x'"),
            "a base with a PAX `hdrcharset`": ({"hdrcharset": "BINARY"}, "'hdrcharset'"),
        },
    )
)
def test_image_rejects_base_with_other_records(tmp_path: Path, attack: Attack[dict[str, str]]) -> None:
    below = replace(base_image(), layers=(packed(extended(attack.artefact, "usr/lib/x")),))
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, right_image(below), below)
    attack.assert_blocked_by(caught.value)


@each(
    *attacks(
        Kind.BASES,
        "image",
        {
            "a base with a path twice, once as ./PATH": (tar(file("a"), file("./a")), "twice"),
            "a base with a file below a symbolic link": (
                tar(link("a", "b"), file("a/c")),
                "which is no folder",
            ),
            "a base with a file that is a folder of the same layer": (
                tar(file("a/b"), file("a")),
                "holds paths below 'a', which is no folder",
            ),
            "a base with a hard link before its target": (
                tar(hard_link("a", "b"), file("b")),
                "no file before it",
            ),
            "a base with a hard link to a folder": (
                tar(folder("a"), hard_link("b", "a")),
                "no file before it",
            ),
            "a base with a hard link that is setuid": (
                tar(file("etc/x", b"x"), hard_link("etc/y", "etc/x", 0o4755)),
                "links 'etc/y' to 'etc/x' with other rights than it has",
            ),
            "a base with ./ as a file": (tar(file("./")), "holds the path './'"),
            "a base with an empty link target": (tar(link("a", "")), "the target ''"),
            "a base with an empty layer": (b"", "is not a whole tar: it is empty"),
            "a base with 64 KiB behind the end of a layer": (
                b"\0" * 1024 + b"\0" * (64 * 1024 + 512),
                "bytes after its last entry",
            ),
        },
    )
)
def test_image_rejects_base_with_layer_in_other_form(tmp_path: Path, attack: Attack[bytes]) -> None:
    below = replace(base_image(), layers=(packed(attack.artefact),))
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, right_image(below), below)
    attack.assert_blocked_by(caught.value)


@each(
    *attacks(
        Kind.BASES,
        "image",
        {
            "a base with LD_PRELOAD": ({"Env": ["LD_PRELOAD=/tmp/x"]}, "Env 'LD_PRELOAD=/tmp/x'"),
            "a base with busybox on PATH": (
                {"Env": ["PATH=/busybox:/usr/bin"]},
                "Env 'PATH=/busybox:/usr/bin'",
            ),
            "a base with arguments": ({"Cmd": ["-x"]}, "Cmd: expected nothing, got ['-x']"),
            "a base with an entrypoint": ({"Entrypoint": ["/busybox/sh"]}, "Entrypoint: expected nothing"),
            "a base with a volume": ({"Volumes": {"/data": {}}}, "Volumes: expected nothing"),
            "a base with a label `run`": ({"Labels": {"run": "docker run"}}, "label 'run'"),
            "a base with another user": ({"User": "1000"}, "User '1000'"),
            "a base with another working directory": ({"WorkingDir": "/opt"}, "WorkingDir '/opt'"),
            "a base with a port": ({"ExposedPorts": {"22/tcp": {}}}, "ExposedPorts: expected nothing"),
            "a base with ONBUILD": ({"OnBuild": ["RUN true"]}, "OnBuild: expected nothing"),
        },
    )
)
def test_image_rejects_base_with_other_settings(tmp_path: Path, attack: Attack[JSON]) -> None:
    below = base_image().saying(**attack.artefact)
    inherited = {k: v for k, v in attack.artefact.items() if k in ("Env", "WorkingDir", "Volumes", "OnBuild")}
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, right_image(below).saying(**inherited), below)
    attack.assert_blocked_by(caught.value)
    place = f"linux/amd64: settings of the base: {attack.words}"
    assert any(detail.startswith(place) for detail in refusals(caught.value))


@each(
    *attacks(
        Kind.READERS,
        "image",
        {
            "a base with a file that has two names, and a layer that replaces one of them": (
                tar(file("etc/one", b"newer")),
                "layer 2 of gcr.io/distroless/static-debian12:nonroot hides /etc/one, which has another name",
            ),
            "a base with a file that has two names, and a layer that replaces its folder": (
                tar(file("etc", b"no folder")),
                "layer 2 of gcr.io/distroless/static-debian12:nonroot hides /etc/one, which has another name",
            ),
        },
    )
)
def test_image_rejects_base_that_hides_file_with_two_names(tmp_path: Path, attack: Attack[bytes]) -> None:
    """Who puts all layers into one tar, as crane does, makes the other name a link to what is there now."""
    two_names = tar(file("etc/one", b"older"), hard_link("etc/two", "etc/one"))
    layers = (base_tree().pack(), packed(two_names), packed(attack.artefact))
    below = replace(base_image(), layers=layers, steps=base_image().steps * 3)
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, right_image(below), below)
    attack.assert_blocked_by(caught.value)


def test_image_accepts_base_that_replaces_other_name_of_file(tmp_path: Path) -> None:
    two_names = tar(file("etc/one", b"older"), hard_link("etc/two", "etc/one"))
    layers = (base_tree().pack(), packed(two_names), packed(tar(file("etc/two", b"newer"))))
    below = replace(base_image(), layers=layers, steps=base_image().steps * 3)
    assert look(tmp_path, right_image(below), below).platforms
