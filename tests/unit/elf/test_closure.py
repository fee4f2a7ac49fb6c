"""What a program finds in an image, as glibc's loader would find it."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from sealift.elf.closure import Closure, FoundLibrary, MissingLibrary, MissingVersion, SkippedFile, resolve
from sealift.elf.facts import ElfFacts, read_elf

from .assets import asset
from .tars import folder, image
from .test_facts import DT_RPATH, DT_RUNPATH, sysv_hash, with_tag
from .test_ldcache import cache

TRIPLE = "lib/x86_64-linux-gnu"
Files = dict[str, bytes | str]
LOADER: Files = {f"{TRIPLE}/ld-linux-x86-64.so.2": asset("ld-linux-x86-64.so.2"), "lib64": TRIPLE}
ONE, ONE_OLD, TWO = asset("libone.so"), asset("libone-old.so"), asset("libtwo.so")
WHOLE: Files = {**LOADER, f"{TRIPLE}/libone.so.1": ONE, f"usr/{TRIPLE}/libtwo.so": TWO}
DYNAMIC = read_elf(asset("dynamic"))
RUNPATH = read_elf(asset("runpath"))


def found(closure: Closure) -> dict[str, str]:
    return {library.name: library.path for library in closure.found}


def needing(*names: str, **changes: object) -> ElfFacts:
    """Return a program that needs other libraries, of no version."""
    return replace(DYNAMIC, needed=names, required_versions={}, **changes)  # type: ignore[arg-type]


def test_everything_is_there() -> None:
    closure = resolve(DYNAMIC, image(WHOLE))
    assert closure == Closure(
        found=(
            FoundLibrary(name="libone.so.1", path="/lib/x86_64-linux-gnu/libone.so.1"),
            FoundLibrary(name="libtwo.so", path="/usr/lib/x86_64-linux-gnu/libtwo.so"),
        ),
        missing=(),
        missing_versions=(),
        skipped=(),
        interpreter="/lib64/ld-linux-x86-64.so.2",
        interpreter_found=True,
    )
    assert closure.complete


def test_everything_is_there_for_arm64() -> None:
    base = image(
        {
            "lib/ld-linux-aarch64.so.1": asset("ld-linux-aarch64.so.1", "arm64"),
            "lib/aarch64-linux-gnu/libone.so.1": asset("libone.so", "arm64"),
            "lib/aarch64-linux-gnu/libtwo.so": asset("libtwo.so", "arm64"),
        }
    )
    assert resolve(read_elf(asset("dynamic", "arm64")), base).complete
    assert not resolve(DYNAMIC, base).complete


def test_a_static_program_needs_nothing() -> None:
    for name in ("static", "static-pie"):
        closure = resolve(read_elf(asset(name)), image({}))
        assert closure.complete
        assert (closure.found, closure.interpreter) == ((), None)


def test_libraries_without_an_interpreter_do_not_start() -> None:
    closure = resolve(needing("libtwo.so", interpreter=None), image(WHOLE))
    assert found(closure) == {"libtwo.so": "/usr/lib/x86_64-linux-gnu/libtwo.so"}
    assert not closure.complete


def test_a_missing_interpreter() -> None:
    """Its libraries are looked for all the same, for whoever reads what is wrong."""
    closure = resolve(
        DYNAMIC, image({f"{TRIPLE}/libone.so.1": ONE, "usr/lib/libtwo.so": TWO}, folder(TRIPLE))
    )
    assert (closure.interpreter_found, closure.complete, closure.missing) == (False, False, ())


def test_an_interpreter_for_another_machine() -> None:
    other: Files = {"lib64/ld-linux-x86-64.so.2": asset("ld-linux-aarch64.so.1", "arm64")}
    closure = resolve(DYNAMIC, image({**WHOLE, **other, "lib64": "lib"}))
    assert not closure.interpreter_found
    (skipped,) = closure.skipped
    assert (skipped.path, skipped.why) == ("/lib64/ld-linux-x86-64.so.2", "is for arm64, not amd64")


def test_an_interpreter_that_is_no_program() -> None:
    closure = resolve(DYNAMIC, image({**WHOLE, f"{TRIPLE}/ld-linux-x86-64.so.2": b"#!/bin/sh\n"}))
    assert not closure.interpreter_found
    assert "looks like a script" in closure.skipped[0].why


@pytest.mark.parametrize("name", ["libc.so.6", "libone.so.1"])
def test_a_missing_library(name: str) -> None:
    """This machine has a libc in the same folder, and it must not count."""
    closure = resolve(needing(name), image(LOADER))
    assert closure.missing == (MissingLibrary(name=name, needed_by="/program"),)
    assert not closure.complete


def test_a_library_that_a_library_needs_is_missing() -> None:
    closure = resolve(DYNAMIC, image({**LOADER, f"{TRIPLE}/libone.so.1": ONE}), program="/service")
    assert found(closure) == {"libone.so.1": "/lib/x86_64-linux-gnu/libone.so.1"}
    assert closure.missing == (MissingLibrary(name="libtwo.so", needed_by="libone.so.1"),)


def test_a_missing_version() -> None:
    closure = resolve(DYNAMIC, image({**WHOLE, f"{TRIPLE}/libone.so.1": ONE_OLD}), program="/service")
    assert closure.missing == ()
    assert closure.missing_versions == (
        MissingVersion(library="libone.so.1", version="ONE_1.1", needed_by="/service"),
    )
    assert not closure.complete


def test_the_version_must_be_in_the_file_that_is_loaded() -> None:
    """A newer library further down the folders does not help."""
    base = image({**WHOLE, f"{TRIPLE}/libone.so.1": ONE_OLD, f"usr/{TRIPLE}/libone.so.1": ONE})
    assert [missing.version for missing in resolve(DYNAMIC, base).missing_versions] == ["ONE_1.1"]


def test_a_library_without_versions_has_none() -> None:
    closure = resolve(DYNAMIC, image({**WHOLE, f"{TRIPLE}/libone.so.1": TWO}))
    assert [missing.version for missing in closure.missing_versions] == ["ONE_1.0", "ONE_1.1"]


def test_a_missing_library_lacks_no_versions_besides() -> None:
    closure = resolve(DYNAMIC, image(LOADER))
    assert (len(closure.missing), closure.missing_versions) == (1, ())


def test_a_version_of_a_library_that_nobody_loads() -> None:
    facts = replace(needing("libtwo.so"), required_versions={"libone.so.1": ("ONE_1.0",)})
    assert [missing.library for missing in resolve(facts, image(WHOLE)).missing_versions] == ["libone.so.1"]


def test_a_weak_version_may_stay_unmet() -> None:
    data = asset("dynamic")
    name = struct.pack("<I", sysv_hash("ONE_1.1"))
    assert data.count(name) == 1
    flags = data.index(name) + 4
    weak = read_elf(data[:flags] + struct.pack("<H", 2) + data[flags + 2 :])
    assert resolve(weak, image({**WHOLE, f"{TRIPLE}/libone.so.1": ONE_OLD})).complete


def bare(bits: int, order: str, machine: int) -> bytes:
    """Return an ELF header of a library that holds nothing."""
    kind = bytes([1 if bits == 32 else 2, 1 if order == "<" else 2, 1])
    address = "I" if bits == 32 else "Q"
    header = struct.pack(
        f"{order}HHI{address}{address}{address}IHHHHHH", 3, machine, 1, 0, 0, 0, 0, 64, 0, 0, 0, 0, 0
    )
    return (b"\x7fELF" + kind).ljust(16, b"\0") + header


I386, MIPS, ARM64, S390X = 3, 8, 183, 22


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (asset("libone.so", "arm64"), "is for arm64, not amd64"),
        (bare(64, "<", ARM64), "is for arm64, not amd64"),
        (bare(32, "<", I386), "is for 386, not amd64"),
        (bare(32, ">", MIPS), "is for mips, not amd64"),
    ],
)
def test_a_library_for_another_machine_is_passed_over(data: bytes, why: str) -> None:
    closure = resolve(DYNAMIC, image({**WHOLE, f"{TRIPLE}/libone.so.1": data, "usr/lib/libone.so.1": ONE}))
    assert found(closure)["libone.so.1"] == "/usr/lib/libone.so.1"
    assert closure.skipped == (SkippedFile(path="/lib/x86_64-linux-gnu/libone.so.1", why=why),)
    assert closure.complete


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"/* GNU ld script */ GROUP ( libone.so.2 )", "is not a Linux program"),
        (ONE[:-1], "is cut off"),
        (bare(64, ">", S390X), "is for s390x, not amd64"),
    ],
)
def test_at_a_file_that_is_no_library_the_loader_gives_up(data: bytes, why: str) -> None:
    closure = resolve(DYNAMIC, image({**WHOLE, f"{TRIPLE}/libone.so.1": data, "usr/lib/libone.so.1": ONE}))
    assert [missing.name for missing in closure.missing] == ["libone.so.1"]
    (skipped,) = closure.skipped
    assert skipped.ends_search
    assert why in skipped.why


def test_at_a_folder_the_loader_gives_up() -> None:
    base = image({**LOADER, "usr/lib/libone.so.1": ONE}, folder(f"{TRIPLE}/libone.so.1"))
    closure = resolve(DYNAMIC, base)
    assert [missing.name for missing in closure.missing] == ["libone.so.1"]
    assert closure.skipped[0].why == "is a dir, not a file"


def test_a_dangling_link_is_nothing() -> None:
    base = image({**WHOLE, f"{TRIPLE}/libone.so.1": "libone.so.1.2", "usr/lib/libone.so.1": ONE})
    assert found(resolve(DYNAMIC, base))["libone.so.1"] == "/usr/lib/libone.so.1"


def test_a_link_is_followed_inside_the_image() -> None:
    base = image({**WHOLE, f"{TRIPLE}/libone.so.1": "/opt/one", "opt/one": ONE})
    assert found(resolve(DYNAMIC, base))["libone.so.1"] == "/opt/one"


def test_runpath_comes_first_and_knows_where_the_program_is() -> None:
    files = {**WHOLE, "app/lib/libone.so.1": ONE, "opt/lib/libone.so.1": ONE}
    closure = resolve(RUNPATH, image(files), program="/app/run")
    assert found(closure)["libone.so.1"] == "/app/lib/libone.so.1"
    assert found(resolve(RUNPATH, image(files)))["libone.so.1"] == "/opt/lib/libone.so.1"


def test_runpath_is_not_for_what_a_library_needs_and_rpath_is() -> None:
    base = image({**LOADER, "opt/lib/libone.so.1": ONE, "opt/lib/libtwo.so": TWO})
    assert resolve(RUNPATH, base).missing == (MissingLibrary(name="libtwo.so", needed_by="libone.so.1"),)
    rpath = read_elf(with_tag(asset("runpath"), DT_RUNPATH, DT_RPATH))
    assert found(resolve(rpath, base))["libtwo.so"] == "/opt/lib/libtwo.so"


def test_rpath_means_nothing_beside_runpath() -> None:
    files: Files = {**LOADER, "opt/libone.so.1": ONE, "rp/libone.so.1": ONE, "rp/libtwo.so": TWO}
    for runpath, missing in (("/nowhere", "libone.so.1"), ("/opt", "libtwo.so")):
        both = replace(DYNAMIC, rpath=("/rp",), runpath=(runpath,))
        assert [one.name for one in resolve(both, image(files)).missing] == [missing]


def test_a_library_with_a_runpath_inherits_no_rpath() -> None:
    files: Files = {**LOADER, "rp/libfoo.so": asset("runpath"), "rp/libone.so.1": ONE}
    closure = resolve(needing("libfoo.so", rpath=("/rp",)), image(files))
    assert closure.missing == (MissingLibrary(name="libone.so.1", needed_by="libfoo.so"),)


@pytest.mark.parametrize(
    ("written", "folder_"),
    [
        ("$ORIGIN/../lib", "lib"),
        ("${ORIGIN}", "app"),
        ("$ORIGINAL", "appAL"),
        ("/opt/$LIB", "opt/lib/x86_64-linux-gnu"),
        ("/opt/${LIB}/", "opt/lib/x86_64-linux-gnu"),
        ("/opt/$OTHER", "opt/$OTHER"),
        ("/opt/a$", "opt/a$"),
    ],
)
def test_tokens(written: str, folder_: str) -> None:
    program = needing("libtwo.so", runpath=(written,))
    closure = resolve(program, image({**LOADER, f"{folder_}/libtwo.so": TWO}), program="/app/run")
    assert found(closure) == {"libtwo.so": f"/{folder_}/libtwo.so"}


@pytest.mark.parametrize("written", ["lib", "./lib", "/opt/$PLATFORM", "$ORIGIN/${PLATFORM}"])
def test_folders_that_no_file_decides_prove_nothing(written: str) -> None:
    files = {"lib/libfoo.so": TWO, "opt/x86_64/libfoo.so": TWO, "x86_64/libfoo.so": TWO}
    loader = {"loader/ld.so": asset("ld-linux-x86-64.so.2").replace(b"/lib/\0", b"/l1b/\0")}
    program = needing("libfoo.so", runpath=(written,), interpreter="/loader/ld.so")
    assert [m.name for m in resolve(program, image({**files, **loader})).missing] == ["libfoo.so"]


@pytest.mark.parametrize(
    ("name", "there"), [("/opt/libtwo.so", True), ("$ORIGIN/libtwo.so", True), ("opt/libtwo.so", False)]
)
def test_a_library_that_is_needed_by_its_path(name: str, there: bool) -> None:
    base = image({**LOADER, "opt/libtwo.so": TWO})
    assert resolve(needing(name), base, program="/opt/run").complete is there


def test_an_origin_is_where_a_library_was_found_not_where_links_lead() -> None:
    files: Files = {**WHOLE, "app/libfoo.so": "/store/foo", "store/foo": asset("runpath")}
    program = needing("libfoo.so", runpath=("/app",))
    closure = resolve(program, image({**files, "app/lib/libone.so.1": ONE, "store/lib/libone.so.1": ONE}))
    assert found(closure)["libone.so.1"] == "/app/lib/libone.so.1"


def test_lib_is_the_loaders_first_folder_without_usr() -> None:
    loader = asset("ld-linux-x86-64.so.2").replace(
        b"/lib/x86_64-linux-gnu/\0/usr", b"/usr/lib/x86-linuxgnu/\0/usr"
    )
    files: Files = {"lib64/ld-linux-x86-64.so.2": loader, "opt/lib/x86-linuxgnu/libtwo.so": TWO}
    assert resolve(needing("libtwo.so", runpath=("/opt/$LIB",)), image(files)).complete


def test_the_interpreter_is_a_library_that_is_there_already() -> None:
    """Debian's libc needs it by name; it is in no folder that would be searched."""
    loader = {"loader/ld.so": asset("ld-linux-x86-64.so.2")}
    program = needing("ld-linux-x86-64.so.2", interpreter="/loader/ld.so")
    closure = resolve(program, image(loader))
    assert (closure.complete, closure.found) == (True, ())


@pytest.mark.parametrize(
    ("folder_", "there"), [("lib", True), ("usr/lib", True), ("usr/lib64", False), ("usr/local/lib", False)]
)
def test_the_loader_says_which_folders_are_searched(folder_: str, there: bool) -> None:
    assert resolve(needing("libtwo.so"), image({**LOADER, f"{folder_}/libtwo.so": TWO})).complete is there


def test_a_loader_that_does_not_say_it() -> None:
    loader = {"lib64/ld-linux-x86-64.so.2": asset("libtwo.so")}
    for folder_ in ("lib", "usr/lib", TRIPLE):
        base = image({**loader, f"{folder_}/libfoo.so": TWO}, folder(TRIPLE))
        assert resolve(needing("libfoo.so"), base).complete


def test_a_cache_comes_before_folders_and_after_runpath() -> None:
    cached = cache(("libone.so.1", "/srv/libone.so.1", 0), ("libtwo.so", "/srv/libtwo.so", 0))
    files = {**WHOLE, "etc/ld.so.cache": cached, "srv/libone.so.1": ONE, "srv/libtwo.so": TWO}
    assert found(resolve(DYNAMIC, image(files))) == {
        "libone.so.1": "/srv/libone.so.1",
        "libtwo.so": "/srv/libtwo.so",
    }
    runpath = resolve(RUNPATH, image({**files, "opt/lib/libone.so.1": ONE}))
    assert found(runpath) == {"libone.so.1": "/opt/lib/libone.so.1", "libtwo.so": "/srv/libtwo.so"}


def test_a_cache_may_be_older_than_the_image() -> None:
    cached = cache(
        ("libone.so.1", "/gone/libone.so.1", 0),
        ("libtwo.so", "/arm/libtwo.so", 0),
    )
    files = {**WHOLE, "etc/ld.so.cache": cached, "arm/libtwo.so": asset("libtwo.so", "arm64")}
    closure = resolve(DYNAMIC, image(files))
    assert closure.complete
    assert found(closure)["libtwo.so"] == "/usr/lib/x86_64-linux-gnu/libtwo.so"


def test_libraries_that_need_each_other() -> None:
    def library(soname: bytes, needs: bytes) -> bytes:
        return ONE.replace(b"libone.so.1\0", soname + b"\0").replace(b"libtwo.so\0", needs + b"\0")

    files = {
        **LOADER,
        f"{TRIPLE}/libtwo.so": library(b"libcy1.so.1", b"libsix.so"),
        f"{TRIPLE}/libsix.so": library(b"libcy2.so.1", b"libtwo.so"),
    }
    closure = resolve(needing("libtwo.so"), image(files))
    assert list(found(closure)) == ["libtwo.so", "libsix.so"]
    assert closure.complete


def test_one_file_under_two_names_is_loaded_once() -> None:
    files: Files = {
        **LOADER,
        "lib/libtwo.so": TWO,
        "lib/libfoo.so": "libtwo.so",
        "lib/libbar.so": "libtwo.so",
    }
    closure = resolve(needing("libfoo.so", "libbar.so", "libfoo.so"), image(files))
    assert closure.found == (FoundLibrary(name="libfoo.so", path="/lib/libtwo.so"),)


def test_a_library_answers_to_its_own_name() -> None:
    """Found as libone.so in /opt, it is libone.so.1 to whoever asks later."""
    base = image({**LOADER, f"{TRIPLE}/libtwo.so": TWO, f"{TRIPLE}/libone.so": ONE})
    closure = resolve(needing("libone.so", "libone.so.1"), base)
    assert list(found(closure)) == ["libone.so", "libtwo.so"]
    assert closure.complete


def test_versions_are_looked_up_by_the_librarys_own_name() -> None:
    program = replace(DYNAMIC, needed=("libone.so",))
    assert "libone.so.1" in program.required_versions
    assert resolve(program, image({**WHOLE, "lib/libone.so": ONE})).complete
