"""Each way in which a start fails, in the words that people see and with what helps."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.elf import startup
from sealift.elf.closure import FoundLibrary, MissingVersion, resolve
from sealift.elf.facts import read_elf
from sealift.elf.gobuild import MAGIC, build_settings
from sealift.elf.rootfs import Rootfs
from sealift.elf.startup import CRASH, DENIED, EXEC_FORMAT, NO_SUCH_FILE, Reason, look, why_not
from sealift.errors import UsageError
from sealift.model.names import Platform

from .assets import asset
from .tars import folder, image
from .test_closure import I386, ONE_OLD, TRIPLE, WHOLE, Files, bare

AMD64, ARM64 = Platform("linux/amd64"), Platform("linux/arm64")
GNU_STACK = (0x6474E551).to_bytes(4, "little")
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


LOADER = b"/lib64/ld-linux-x86-64.so.2\0"


def loaded_by(interpreter: str, name: str = "dynamic") -> bytes:
    """Return a program with another interpreter, whose name is no longer than the usual one."""
    changed = interpreter.encode().ljust(len(LOADER), b"\0")
    assert len(changed) == len(LOADER)
    return asset(name).replace(LOADER, changed)


@pytest.mark.parametrize(
    ("interpreter", "home"),
    [
        ("/nix/store/a-glibc/ld.so.2", "which is Nix's"),
        ("/gnu/store/a-glibc/ld.so.2", "which is Guix's"),
        ("/snap/core22/1/ld.so.2", "which is a snap's"),
        ("/opt/toolchain/lib/ld.so.2", "and not with /opt"),
        ("lib/ld-linux-x86-64.so.2", "and not with lib/"),
        ("/lib/ld-linux-x86-64.so.2", "and not with /lib/"),
    ],
)
@pytest.mark.parametrize("rootfs", [EMPTY, BASE])
def test_a_loader_of_no_base_is_not_sent_to_a_base(
    written: Path, rootfs: Rootfs, interpreter: str, home: str
) -> None:
    told = reason(written, loaded_by(interpreter), rootfs)
    assert told.error == NO_SUCH_FILE
    assert f"its interpreter {interpreter} is not" in told.why
    assert "base variant" not in told.remedy
    assert home in told.remedy
    assert "patchelf --set-interpreter /lib64/ld-linux-x86-64.so.2 --remove-rpath service" in told.remedy
    assert ("which this image has" in told.remedy) == (rootfs is BASE)


def test_what_the_advice_makes_of_a_program_starts(written: Path) -> None:
    wrong = loaded_by("/nix/store/a/ld.so")
    assert reasons(written, wrong, BASE) != ()
    patched = wrong.replace(b"/nix/store/a/ld.so".ljust(len(LOADER), b"\0"), LOADER)
    assert reasons(written, patched, BASE) == ()


def test_a_relative_interpreter_is_called_that(written: Path) -> None:
    assert "no absolute path" in reason(written, loaded_by("lib/ld.so"), BASE).why


def test_a_machine_without_a_distroless_image_is_not_sent_to_one(written: Path) -> None:
    program = bytearray(asset("dynamic"))
    program[18:20] = (258).to_bytes(2, "little")  # EM_LOONGARCH
    told = reason(written, bytes(program), EMPTY, Platform("linux/loong64"))
    assert told.remedy.endswith("no distroless base is for linux/loong64")


def test_a_program_that_is_newer_than_every_base_is_told_so(written: Path) -> None:
    told = reason(written, asset("dynamic"))
    assert "newer than any" not in told.remedy
    facts = replace(read_elf(asset("dynamic")), required_versions={"libc.so.6": ("GLIBC_2.42",)})
    file = replace(look(written), facts=facts)
    (told,) = why_not(file, EMPTY, AMD64)
    assert told.remedy.endswith("glibc 2.42, which it needs, is newer than any base's")


def test_a_pie_of_go_without_cgo_is_not_told_to_leave_cgo_out(written: Path) -> None:
    told = reason(written, asset("dynamic") + build_info(CGO_ENABLED="0", GOAMD64="v3"))
    assert "CGO_ENABLED" not in told.remedy
    assert "without -buildmode=pie" in told.remedy


def test_a_library_that_is_in_the_image_is_not_to_be_put_there(written: Path) -> None:
    files: Files = {path: data for path, data in WHOLE.items() if not path.endswith("libtwo.so")}
    told = reason(written, asset("dynamic"), image({**files, "opt/lib/libtwo.so": asset("libtwo.so")}))
    assert "put it into the image" not in told.remedy
    assert "the image has /opt/lib/libtwo.so: link the program with -Wl,-rpath,/opt/lib" in told.remedy


def test_a_runpath_that_the_image_does_not_have_is_named(written: Path) -> None:
    told = reason(written, asset("runpath"), image({k: v for k, v in WHOLE.items() if "libone" not in k}))
    assert "the image has no /opt/lib, where the program looks first (RUNPATH)" in told.why


@pytest.mark.parametrize(
    ("here", "needed", "says"),
    [
        ("GLIBC_2.36", "GLIBC_2.38", "gnu.2.36), or take a newer base: debian13 has glibc 2.41"),
        ("GLIBC_2.31", "GLIBC_2.34", "gnu.2.31), or take a newer base: debian12 has glibc 2.36"),
        ("GLIBC_2.41", "GLIBC_2.42", "gnu.2.41): no distroless base has GLIBC_2.42"),
        ("GLIBC_2.36", "GLIBC_2.42", "gnu.2.36): no distroless base has GLIBC_2.42"),
    ],
)
def test_a_base_is_advised_only_where_it_is_newer_and_new_enough(
    monkeypatch: pytest.MonkeyPatch, written: Path, here: str, needed: str, says: str
) -> None:
    written.write_bytes(asset("dynamic"))
    written.chmod(0o755)
    file = look(written)
    assert file.facts is not None
    libc = MissingVersion(library="libc.so.6", version=needed, needed_by="/service")
    found = (FoundLibrary(name="libc.so.6", path="/libc"),)
    closure = replace(resolve(file.facts, BASE), found=found, missing_versions=(libc,))
    monkeypatch.setattr(startup, "resolve", lambda *_, **__: closure)
    monkeypatch.setattr(
        startup, "read_elf", lambda _: replace(file.facts, defined_versions=(here, "GLIBC_2.4"))
    )
    (told,) = why_not(file, image({"libc": b""}), AMD64)
    assert says in told.remedy


def build_info(**settings: str) -> bytes:
    """Return what Go's linker writes into a program."""
    lines = "path\tcommand-line-arguments\n" + "".join(f"build\t{k}={v}\n" for k, v in settings.items())
    modules = b"0" * 16 + lines.encode() + b"1" * 16
    strings = b"".join(bytes([len(s) & 0x7F | 0x80, len(s) >> 7]) + s for s in (b"go1.26", modules))
    return MAGIC + bytes([8, 2]) + bytes(16) + strings


@pytest.mark.parametrize("before", [b"", MAGIC, MAGIC + bytes(40)])
def test_how_go_built_a_program_is_read(before: bytes) -> None:
    made = before + build_info(GOAMD64="v3", CGO_ENABLED="0")
    assert build_settings(b"\0" * 5 + made) == {"GOAMD64": "v3", "CGO_ENABLED": "0"}
    assert build_settings(made[: len(before) + 30]) == {}
    assert build_settings(asset("dynamic")) == {}


def test_a_length_without_an_end_is_given_up_soon() -> None:
    crafted = MAGIC + b"\x08\x02" + b"\0" * 16 + b"\xff" * 2_000_000
    started = time.monotonic()
    assert build_settings(crafted) == {}
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("bits", "level"), [(1, None), (3, "x86-64-v2"), (4, "x86-64-v3"), (15, "x86-64-v4")]
)
def test_the_level_that_a_program_needs_of_a_processor(written: Path, bits: int, level: str | None) -> None:
    program = asset("static")
    headers = int.from_bytes(program[32:40], "little")
    stack = next(
        at for at in range(headers, headers + 56 * program[56], 56) if program[at : at + 4] == GNU_STACK
    )
    used = struct.pack("<IIII", 0xC0010002, 4, 15, 0)
    needed = struct.pack("<IIII", 0xC0008002, 4, bits, 0)
    note = struct.pack("<III4s", 4, len(used + needed), 5, b"GNU\0") + used + needed
    other = struct.pack("<III4s", 4, 4, 1, b"Go\0\0") + bytes(4) + bytes(4)
    segment = struct.pack("<IIQQQQQQ", 4, 4, len(program), 0, 0, len(other + note), len(other + note), 8)
    written.write_bytes(program[:stack] + segment + program[stack + 56 :] + other + note)
    facts = look(written).facts
    assert facts is not None
    assert facts.instruction_set == level
