"""The verb: which image a file is held against, what is printed, and the exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from sealift.commands import explain
from sealift.elf.facts import read_elf
from sealift.elf.startup import look
from sealift.errors import MissingProgramError, OutsideError, SealiftError, UsageError
from sealift.model.names import Digest, Platform
from sealift.rehearsal.oci_writer import LayerTar, writing
from sealift.tools import engine
from sealift.tools.engine import Engine
from sealift.tools.layout import Manifests
from sealift.tools.registry import Registry
from tests.unit.elf.assets import asset
from tests.unit.elf.test_startup import build_info, loaded_by

AMD64, ARM64 = Platform("linux/amd64"), Platform("linux/arm64")
LIBRARIES: Mapping[Platform, Mapping[str, bytes]] = {
    AMD64: {
        "lib64/ld-linux-x86-64.so.2": asset("ld-linux-x86-64.so.2"),
        "lib/libone.so.1": asset("libone.so"),
        "lib/libtwo.so": asset("libtwo.so"),
    },
    ARM64: {
        "lib/ld-linux-aarch64.so.1": asset("ld-linux-aarch64.so.1", "arm64"),
        "lib/libone.so.1": asset("libone-old.so", "arm64"),
    },
}
app = typer.Typer()
app.command()(explain.command)


def layout(
    root: Path, platforms: Sequence[Platform], *, index: bool = True
) -> tuple[Path, dict[str, Digest]]:
    """Write an image with libraries; return the folder and each manifest's digest."""
    with writing(root) as writer:
        images = {}
        for platform in platforms:
            tar = LayerTar()
            for path, data in LIBRARIES[platform].items():
                tar.file(path, data, 0o755)
            images[platform] = writer.image(platform, [tar.pack()], {}, {})
        writer.index(list(images.values()), "base")
        if not index:
            (one,) = images.values()
            (writer.root / "index.json").write_text(json.dumps({"manifests": [one]}))
    return root, {str(platform): Digest(entry["digest"]) for platform, entry in images.items()}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return layout(tmp_path / "base", [AMD64, ARM64])[0]


def binary(folder: Path, name: str, arch: str = "amd64") -> Path:
    path = folder / name
    path.write_bytes(asset(name, arch))
    path.chmod(0o755)
    return path


def run(*words: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, SealiftError):
        raise result.exception
    return result


def test_a_static_binary_needs_no_base(tmp_path: Path) -> None:
    result = run(binary(tmp_path, "static"))
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{tmp_path}/static: static, for linux/amd64",
        "On distroless static (no loader, no libraries) it would start.",
        "  note: where the image is not for linux/amd64, it says exec format error",
    ]


def test_a_dynamic_binary_without_a_base_is_told_both(tmp_path: Path) -> None:
    result = run(binary(tmp_path, "dynamic"))
    assert result.exit_code == 3
    head, on, error, why, remedy, *notes = result.output.splitlines()
    assert head.endswith(
        "dynamic, for linux/amd64, interpreter /lib64/ld-linux-x86-64.so.2, needs libone.so.1"
    )
    assert on == "On distroless static (no loader, no libraries) it would not start:"
    assert error == "  no such file or directory"
    assert why.startswith("    why: the file is there, its interpreter")
    assert remedy.startswith("    do:  build it with CGO_ENABLED=0")
    assert "on distroless base, which has a loader, it needs libone.so.1" in notes[1]


def test_the_newest_glibc_that_a_binary_needs_is_named(tmp_path: Path) -> None:
    path = binary(tmp_path, "dynamic")
    assert "with glibc" not in explain.explain(path).notes[1]
    facts = replace(read_elf(path), required_versions={"libc.so.6": ("GLIBC_2.4", "GLIBC_2.34", "GLIBC_2.9")})
    (_, needs, _) = explain._notes(facts)
    assert needs.endswith("it needs libone.so.1 with glibc 2.34 or newer")


def test_the_image_for_the_binarys_own_platform_is_taken(tmp_path: Path, base: Path) -> None:
    result = run(binary(tmp_path, "dynamic"), "--base", base)
    assert result.exit_code == 0
    assert f"On {base} (linux/amd64) it would start." in result.output
    other = run(binary(tmp_path, "dynamic", "arm64"), "--base", base)
    assert other.exit_code == 3
    assert f"On {base} (linux/arm64) it would not start:" in other.output
    assert "error while loading shared libraries: libtwo.so" not in other.output
    assert "version `ONE_1.1' not found" in other.output


def test_one_manifest_can_be_named(tmp_path: Path) -> None:
    folder, digests = layout(tmp_path / "base", [AMD64, ARM64])
    result = run(binary(tmp_path, "dynamic"), "--base", f"{folder}@{digests['linux/arm64']}")
    assert result.exit_code == 3
    assert "  exec format error\n" in result.output
    assert "it is for linux/amd64, the image is for linux/arm64" in result.output


@pytest.mark.parametrize("index", [True, False])
def test_an_image_for_another_platform_alone(tmp_path: Path, index: bool) -> None:
    folder, _ = layout(tmp_path / "base", [ARM64], index=index)
    assert "exec format error" in run(binary(tmp_path, "dynamic"), "--base", folder).output
    assert "would not start" in run(binary(tmp_path, "dynamic", "arm64"), "--base", folder).output


def test_a_variant_of_the_binarys_platform_is_preferred_to_another_platform() -> None:
    """A plain program starts in an image of each variant; what else the index lists does not matter."""
    first, second, ours = (Digest("sha256:" + digit * 64) for digit in "123")
    listed = {
        Platform("windows/amd64"): (first, second),
        Platform("linux/arm64"): (first,),
        Platform("linux/amd64/v2"): (ours,),
    }
    assert explain._closest(Manifests(first, listed), "amd64") == "linux/amd64/v2"
    assert explain._closest(Manifests(first, listed), "s390x") == "linux/arm64"


def test_an_index_of_nothing_is_an_error(tmp_path: Path) -> None:
    folder, _ = layout(tmp_path / "base", [])
    with pytest.raises(UsageError, match="lists no image for any platform"):
        explain.explain(binary(tmp_path, "static"), str(folder))


def test_a_script(tmp_path: Path, base: Path) -> None:
    path = tmp_path / "run.sh"
    path.write_bytes(b"#!/bin/sh\n")
    path.chmod(0o755)
    result = run(path, "--base", base)
    assert (result.exit_code, "run.sh: no ELF program" in result.output) == (3, True)
    assert "a script for /bin/sh, which is not in the image" in result.output


def test_json(tmp_path: Path, base: Path) -> None:
    path = binary(tmp_path, "dynamic")
    assert json.loads(run(path, "--json", "--base", base).output) == {
        "binary": str(path),
        "base": f"{base} (linux/amd64)",
        "starts": True,
        "platform": "linux/amd64",
        "linkage": "dynamic",
        "interpreter": "/lib64/ld-linux-x86-64.so.2",
        "needed": ["libone.so.1"],
        "reasons": [],
        "notes": [],
    }
    path.chmod(0o644)
    result = run(path, "--json", "--base", base)
    assert result.exit_code == 3
    (reason,) = json.loads(result.output)["reasons"]
    assert reason["error"] == "permission denied"


def test_a_binary_that_is_not_there_is_an_error_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        run(tmp_path / "absent")


@pytest.mark.parametrize(
    "name", ["debian:12", "build/absent", "library/debian@sha256:" + "0" * 64, "/absent", ""]
)
def test_neither_a_folder_nor_an_image(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(_: Path) -> Engine:
        raise MissingProgramError("no container engine answers here")

    monkeypatch.setattr(engine, "find", find)
    with pytest.raises(UsageError, match="neither a folder, nor an image that an engine has here") as raised:
        run(binary(tmp_path, "static"), "--base", name)
    assert "docker.io/library/debian:12" in raised.value.next_step


def test_a_folder_that_is_no_layout_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not an OCI image layout"):
        run(binary(tmp_path, "static"), "--base", tmp_path)


@pytest.mark.parametrize(
    ("reference", "plain"),
    [
        ("gcr.io/distroless/base-debian12:nonroot", ()),
        ("localhost:5000/base@sha256:" + "0" * 64, ("localhost:5000",)),
        ("127.0.0.1:5000/base:1@sha256:" + "0" * 64, ("127.0.0.1:5000",)),
    ],
)
def test_a_registrys_image_is_fetched_and_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, plain: tuple[str, ...]
) -> None:
    fetched = []

    def copy(self: Registry, source: str, target: str) -> None:
        folder = Path(target.removeprefix("ocidir://").removesuffix(":base"))
        layout(folder, [AMD64])
        fetched.append((self.plain_http, source, folder))

    provided: list[Any] = []
    monkeypatch.setattr(Registry, "copy", copy)
    monkeypatch.setattr(explain, "provide_all", lambda names, **_: provided.append(names))
    result = run(binary(tmp_path, "dynamic"), "--base", reference)
    ((hosts, source, folder),) = fetched
    assert (hosts, source, provided) == (plain, reference, [["regctl"]])
    assert f"On {reference} (linux/amd64) it would start." in result.output
    assert not os.path.lexists(folder.parent)


def test_a_registry_that_does_not_answer_is_an_error_of_the_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(*_: object) -> None:
        raise OutsideError("could not be copied", means="no such host", again=False)

    monkeypatch.setattr(Registry, "copy", copy)
    monkeypatch.setattr(explain, "provide_all", lambda *_, **__: None)
    with pytest.raises(OutsideError, match="localhost:5000/base:1 cannot be fetched") as raised:
        run(binary(tmp_path, "static"), "--base", "localhost:5000/base:1")
    assert (raised.value.means, raised.value.again) == ("no such host", False)
    assert "an image of the engine here" in raised.value.next_step


def test_the_levels_that_a_program_needs_are_notes(tmp_path: Path, base: Path) -> None:
    path = tmp_path / "service"
    path.write_bytes(asset("static") + build_info(GOAMD64="v3", GOARM64="v8.0"))
    path.chmod(0o755)
    told = explain.explain(path, str(base))
    assert told.starts
    (note,) = told.notes
    assert note.startswith("it was built with GOAMD64=v3")
    assert "GOAMD64=v1 runs on all" in note
    file = look(path)
    assert file.facts is not None
    level = replace(file, facts=replace(file.facts, instruction_set="x86-64-v3"), go={})
    (note,) = explain._processors(level)
    assert note.startswith("it needs a processor of level x86-64-v3")


def test_no_base_is_named_for_a_loader_that_none_has(tmp_path: Path) -> None:
    path = tmp_path / "service"
    path.write_bytes(loaded_by("/nix/store/a/ld.so"))
    told = "\n".join(explain.lines(explain.explain(path)))
    assert "no distroless base has /nix/store/a/ld.so" in told
    assert "on distroless base" not in told
