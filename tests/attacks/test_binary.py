"""Prove: binaries that are not what was planned. test_program.py compiles such ones for real."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealift.model.names import Digest
from sealift.stations.gate import GateRefusedError
from tests.attacks.catalogue import Attack, Kind, attacks, each
from tests.unit.elf.assets import asset
from tests.unit.elf.crafted import RUNPATH, STRTAB, crafted, start
from tests.unit.stations.proving import (
    BASE,
    CGO,
    COMMIT,
    FOLDER,
    OTHER,
    SETTINGS,
    Case,
    dynamic_case,
    static_case,
)

Change = Callable[[Case], Case]
LOADER, ONE, TWO = "ld-linux-x86-64.so.2", "libone.so.1", "libtwo.so"
MAIN = "main package: expected example.com/hello/cmd/health-caretaker"
SCRIPT = b"#!/bin/sh\n"
WHERE = "in distroless/base"


@pytest.fixture
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return static_case(tmp_path, monkeypatch)


@pytest.fixture
def dynamic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return dynamic_case(tmp_path, monkeypatch)


def blocked(attack: Attack[Any], case: Case) -> list[str]:
    """Give a binary to prove, which must block it; return all that it names."""
    with pytest.raises(GateRefusedError) as caught:
        case.prove()
    attack.assert_blocked_by(caught.value)
    return [gate.detail for gate in caught.value.gates if gate.verdict != "pass"]


def all_of(*reasons: str) -> str:
    """Write reasons as an error does."""
    return "\n".join(f"  refused: {reason}" for reason in reasons)


def on_disk(data: bytes) -> str:
    return f"bytes on disk: expected {Digest.of(asset('static'))}, got {Digest.of(data)}"


def changed(**parts: Any) -> Change:
    return lambda case: replace(case, **parts)


def base(**files: bytes | None) -> Change:
    """Change libraries of the base, or take them away."""
    names = {"loader": LOADER, "one": ONE, "two": TWO}

    def change(case: Case) -> Case:
        found: Mapping[str, bytes | str | None] = {
            **BASE,
            **{f"{FOLDER}/{names[key]}": data for key, data in files.items()},
        }
        return replace(case, base={path: data for path, data in found.items() if data is not None})

    return change


def settings(**told: str) -> Change:
    return changed(settings=told)


@each(
    *attacks(
        Kind.PROGRAM,
        "prove",
        {
            "a dynamic binary for the static variant": (
                changed(binary=asset("dynamic"), base=BASE),
                all_of(
                    "interpreter: expected None, got /lib64/ld-linux-x86-64.so.2",
                    "needed libraries: expected (), got ('libone.so.1',)",
                ),
            ),
            "a binary for another machine": (
                changed(binary=asset("static", "arm64")),
                all_of("machine: expected amd64, got arm64"),
            ),
            "a binary of another commit": (
                changed(settings={"vcs.revision": OTHER}),
                all_of(f"vcs.revision: expected {COMMIT}, got {OTHER}"),
            ),
            "a binary of a modified tree": (
                changed(settings={"vcs.modified": "true"}),
                all_of("vcs.modified: expected False, got True"),
            ),
            "a binary of a clean tree where a modified one was planned": (
                changed(modified=True),
                all_of("vcs.modified: expected True, got False"),
            ),
            "a binary whose tree is modified `maybe`": (
                changed(settings={"vcs.modified": "maybe"}),
                all_of("vcs.modified: expected False, got None"),
            ),
            "build info for another architecture": (
                settings(GOARCH="arm64"),
                all_of("built for: expected linux/amd64, got linux/arm64"),
            ),
            "build info for another system": (
                settings(GOOS="freebsd"),
                all_of("built for: expected linux/amd64, got freebsd/amd64"),
            ),
            "a static binary with cgo": (
                settings(CGO_ENABLED="1"),
                all_of("cgo: expected False, got True"),
            ),
            "a binary for newer processors by its build info": (
                settings(GOAMD64="v3"),
                all_of("GOAMD64: expected v1, got v3"),
            ),
            "a binary without a processor level": (
                settings(GOAMD64=""),
                all_of("GOAMD64: expected v1, got "),
            ),
            "another package of the same module by its build info": (
                changed(path="example.com/hello/cmd/not-the-service"),
                all_of(f"{MAIN}, got example.com/hello/cmd/not-the-service"),
            ),
            "a binary that was compiled from single files": (
                changed(path="command-line-arguments"),
                all_of(f"{MAIN}, got command-line-arguments"),
            ),
            "another main module": (
                changed(module="example.com/not-the-service"),
                all_of("main module: expected example.com/hello, got example.com/not-the-service"),
            ),
            "a binary without a main module": (
                changed(module="", path=""),
                all_of("main module: expected example.com/hello, got ", f"{MAIN}, got "),
            ),
            "another binary than was compiled, with one bit changed": (
                changed(compiled=asset("static"), binary=asset("static")[:-1] + b"\x01"),
                all_of(on_disk(asset("static")[:-1] + b"\x01")),
            ),
            "another binary than was compiled": (
                changed(compiled=asset("static"), binary=asset("dynamic")),
                all_of(on_disk(asset("dynamic"))),
            ),
            "a script instead of the binary that was compiled": (
                changed(compiled=asset("static"), binary=SCRIPT),
                all_of(on_disk(SCRIPT)),
            ),
            "a script": (changed(binary=SCRIPT), "looks like a script"),
            "an empty file": (changed(binary=b""), "is empty"),
            "a binary that is cut off": (changed(binary=asset("static")[:-1]), "is cut off"),
            "build info glued to a program without Go's table of functions": (
                changed(binary=asset("static").replace(b".gopclntab", b".gopcln\0ab")),
                all_of("it has 0 sections .gopclntab, not one, as Go's linker writes it"),
            ),
        },
    )
)
def test_prove_rejects_static_binary(static: Case, attack: Attack[Change]) -> None:
    case = attack.artefact(static)
    assert case != static
    found = blocked(attack, case)
    # Nothing else is wrong with it, and of other bytes nothing else is asked.
    assert len(found) == max(1, attack.words.count("refused: ")), found


@each(
    *attacks(
        Kind.PROGRAM,
        "prove",
        {
            "a static binary for the variant with a C library": (
                changed(binary=asset("static"), settings={}),
                all_of(
                    "linkage: expected dynamic, got static",
                    f"interpreter None is not {WHERE}",
                    "cgo: expected True, got False",
                ),
            ),
            "a base without the interpreter": (
                base(loader=None),
                all_of(f"interpreter /lib64/ld-linux-x86-64.so.2 is not {WHERE}"),
            ),
            "a base without a library that the binary needs": (
                base(one=None),
                all_of(f"libone.so.1, needed by /health-caretaker, is not {WHERE}"),
            ),
            "a base without a library that another library needs": (
                base(two=None),
                all_of(f"libtwo.so, needed by libone.so.1, is not {WHERE}"),
            ),
            "a base with an older library": (
                base(one=asset("libone-old.so")),
                all_of("libone.so.1 of distroless/base has no ONE_1.1, needed by /health-caretaker"),
            ),
            "a base for another machine": (
                base(two=asset("libtwo.so", "arm64")),
                all_of(
                    f"libtwo.so, needed by libone.so.1, is not {WHERE}",
                    f"/{FOLDER}/libtwo.so of distroless/base cannot be used: is for arm64, not amd64",
                ),
            ),
            "a library of the base with a RUNPATH in a home folder": (
                base(two=crafted([(STRTAB, start(2)), (RUNPATH, 0)], b"/home/nonroot\0")),
                all_of(
                    f"/{FOLDER}/libtwo.so: RUNPATH '/home/nonroot' is no folder of the system's libraries"
                ),
            ),
            "a base without two files, under a binary of another commit": (
                lambda case: replace(
                    base(loader=None, two=None)(case), settings={"vcs.revision": OTHER, **CGO}
                ),
                all_of(
                    f"interpreter /lib64/ld-linux-x86-64.so.2 is not {WHERE}",
                    f"libtwo.so, needed by libone.so.1, is not {WHERE}",
                    f"vcs.revision: expected {COMMIT}, got {OTHER}",
                ),
            ),
        },
    )
)
def test_prove_rejects_dynamic_binary_or_its_base(dynamic: Case, attack: Attack[Change]) -> None:
    found = blocked(attack, attack.artefact(dynamic))
    assert all_of(*found) == attack.words


@each(
    Attack(
        kind=Kind.PROGRAM,
        sample="a binary without a commit in its build info",
        artefact=("vcs.revision", "vcs.modified"),
        stage="prove",
        words=all_of(f"vcs.revision: expected {COMMIT}, got None", "vcs.modified: expected False, got None"),
    )
)
def test_prove_rejects_binary_without_commit(
    static: Case, monkeypatch: pytest.MonkeyPatch, attack: Attack[tuple[str, ...]]
) -> None:
    for key in attack.artefact:
        monkeypatch.delitem(SETTINGS, key)
    assert all_of(*blocked(attack, static)) == attack.words
