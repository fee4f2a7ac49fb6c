"""Each way in which a start fails, in the words that people see and with what helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.elf.rootfs import Rootfs
from sealift.elf.startup import CRASH, DENIED, EXEC_FORMAT, NO_SUCH_FILE, Reason, look, why_not
from sealift.errors import UsageError
from sealift.model.names import Platform

from .assets import asset
from .tars import folder, image
from .test_closure import I386, ONE_OLD, TRIPLE, WHOLE, Files, bare

AMD64, ARM64 = Platform("linux/amd64"), Platform("linux/arm64")
EMPTY = Rootfs((), "static")
BASE = image(WHOLE)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "service"


def reasons(
    path: Path, data: bytes, rootfs: Rootfs = EMPTY, platform: Platform | None = AMD64, mode: int = 0o755
) -> tuple[Reason, ...]:
    path.write_bytes(data)
    path.chmod(mode)
    return why_not(look(path), rootfs, platform)


def reason(path: Path, data: bytes, rootfs: Rootfs = EMPTY, platform: Platform | None = AMD64) -> Reason:
    (only,) = reasons(path, data, rootfs, platform)
    return only


@pytest.mark.parametrize(
    ("name", "rootfs"), [("static", EMPTY), ("static-pie", EMPTY), ("static", BASE), ("dynamic", BASE)]
)
def test_what_starts_has_no_reason_not_to(written: Path, name: str, rootfs: Rootfs) -> None:
    assert reasons(written, asset(name), rootfs) == ()


def test_a_dynamic_program_on_a_static_base(written: Path) -> None:
    told = reason(written, asset("dynamic"))
    assert told.error == NO_SUCH_FILE
    assert told.why == (
        "the file is there, its interpreter /lib64/ld-linux-x86-64.so.2 is not, nor libone.so.1"
    )
    assert "CGO_ENABLED=0" in told.remedy
    assert "base variant" in told.remedy


def test_a_program_built_for_musl(written: Path) -> None:
    longer, musl = b"/lib64/ld-linux-x86-64.so.2\0", b"/lib/ld-musl-x86_64.so.1\0"
    told = reason(written, asset("dynamic").replace(longer, musl.ljust(len(longer), b"\0")), BASE)
    assert (told.error, "/lib/ld-musl-x86_64.so.1 is not" in told.why) == (NO_SUCH_FILE, True)
    assert "musl (Alpine)" in told.remedy


def test_an_interpreter_for_another_machine(written: Path) -> None:
    other: Files = {**WHOLE, f"{TRIPLE}/ld-linux-x86-64.so.2": asset("ld-linux-aarch64.so.1", "arm64")}
    told = reason(written, asset("dynamic"), image(other))
    assert told.error == NO_SUCH_FILE
    assert "cannot be used: it is for arm64, not amd64" in told.why


def test_a_program_for_another_machine(written: Path) -> None:
    assert reason(written, asset("static", "arm64"), BASE) == Reason(
        error=EXEC_FORMAT,
        why="it is for linux/arm64, the image is for linux/amd64",
        remedy="build it with GOARCH=amd64, or take the image for --platform linux/arm64",
    )
    assert reasons(written, asset("static", "arm64"), EMPTY, None) == ()
    assert reasons(written, asset("static", "arm64"), EMPTY, ARM64) == ()


def test_a_386_program_starts_on_amd64(written: Path) -> None:
    assert reasons(written, bare(32, "<", I386)) == ()
    assert reason(written, bare(32, "<", I386), EMPTY, ARM64).error == EXEC_FORMAT


@pytest.mark.parametrize(
    ("data", "why", "remedy"),
    [
        (b"", "the file is empty", "build it again"),
        (b"MZ" + bytes(60), "a Windows program", "GOOS=linux"),
        (b"\xcf\xfa\xed\xfe" + bytes(60), "a macOS program", "GOOS=linux"),
        (b"!<arch>\n", "an archive of object files", "package main"),
        (b"\x1f\x8b\x08" + bytes(9), "a gzip file", "unpack"),
        (b"PK\x03\x04" + bytes(9), "a zip file", "unpack"),
        (b"echo hello\n", "it is text whose first line", "ship a program"),
        (b"\x00\x01\x02\x03", "it begins with 00 01 02 03", "build it again"),
        (asset("object.o"), "neither a program nor a library", "link it"),
        (asset("static")[:-1], "is cut off", "build or fetch it again"),
        (b"\x7fELF", "damaged", "build or fetch it again"),
        (b"#!\nrest", "(#!) names no interpreter", "ship a program"),
        (b"#! \t \n", "(#!) names no interpreter", "ship a program"),
    ],
)
def test_what_is_no_program(written: Path, data: bytes, why: str, remedy: str) -> None:
    told = reason(written, data, BASE)
    assert told.error == EXEC_FORMAT
    assert why in told.why
    assert remedy in told.remedy


@pytest.mark.parametrize("line", [b"#!/bin/sh", b"#! /bin/sh -e\necho", b"#!\t/bin/sh\t-e\n"])
def test_a_script(written: Path, line: bytes) -> None:
    told = reason(written, line)
    assert (told.error, told.why) == (NO_SUCH_FILE, "it is a script for /bin/sh, which is not in the image")
    assert "no shell" in told.remedy
    assert reasons(written, line, image({"bin/sh": "dash", "bin/dash": b"shell"})) == ()


def test_a_script_whose_interpreter_is_no_file(written: Path) -> None:
    assert reason(written, b"#!/bin\n", image({}, folder("bin"))).error == NO_SUCH_FILE
    assert reason(written, b"#!bin/sh\n", image({"bin/sh": b"shell"})).error == NO_SUCH_FILE


def test_a_script_from_windows(written: Path) -> None:
    told = reason(written, b"#!/bin/sh\r\necho\r\n", image({"bin/sh": b"shell"}))
    assert told.error == NO_SUCH_FILE
    assert "a script for /bin/sh whose first line ends with CR LF" in told.why
    assert told.remedy == "end its lines with LF alone"


def test_a_missing_library(written: Path) -> None:
    files: Files = {path: data for path, data in WHOLE.items() if not path.endswith("libtwo.so")}
    told = reason(written, asset("dynamic"), image(files))
    assert told.error == "error while loading shared libraries: libtwo.so"
    assert told.why == "libone.so.1 needs libtwo.so, which is in no folder that the loader searches"
    assert "CGO_ENABLED=0" in told.remedy


def test_a_library_that_cannot_be_used(written: Path) -> None:
    files: Files = {**WHOLE, f"{TRIPLE}/libone.so.1": asset("libone.so", "arm64")}
    told = reason(written, asset("dynamic"), image(files))
    assert told.why.endswith("/lib/x86_64-linux-gnu/libone.so.1 cannot be used: it is for arm64, not amd64")


def test_a_missing_version(written: Path) -> None:
    told = reason(written, asset("dynamic"), image({**WHOLE, f"{TRIPLE}/libone.so.1": ONE_OLD}))
    assert told.error == "version `ONE_1.1' not found"
    assert told.why == "/service was linked against a newer libone.so.1 than the image has"
    assert "older glibc" in told.remedy


def test_a_library_is_no_program(written: Path) -> None:
    told = reason(written, asset("libone.so"), BASE)
    assert told.error == CRASH
    assert "it is a library" in told.why


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o644, "its mode 0644 lets nobody execute it"),
        (0o744, "its mode 0744 does not let user 65532"),
        (0o610, "mode 0610 does not let user 65532"),
    ],
)
def test_a_file_that_may_not_be_executed(written: Path, mode: int, words: str) -> None:
    (told,) = reasons(written, asset("static"), mode=mode)
    assert told.error == DENIED
    assert words in told.why
    assert "chmod 0755" in told.remedy


def test_everything_that_is_wrong_is_told_in_order(written: Path) -> None:
    told = reasons(written, asset("dynamic"), mode=0o600)
    assert [one.error for one in told] == [DENIED, NO_SUCH_FILE]


@pytest.mark.parametrize(("name", "words"), [("absent", "No such file"), (".", "Is a directory")])
def test_what_is_not_there_is_an_error_of_usage(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        look(tmp_path / name)
