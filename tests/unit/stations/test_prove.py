"""Prove, with real ELF files: what must pass. tests/attacks/test_binary.py has what must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from sealift.errors import UsageError
from sealift.model.evidence import Compiled, Proven
from sealift.model.names import Digest, RunPath
from sealift.model.run import RunFolder
from sealift.stations.prove import prove
from tests.unit.elf.assets import asset
from tests.unit.elf.tars import image
from tests.unit.stations.proving import BASE, COMMIT, FOLDER, STATIC, Case, dynamic_case, planned, static_case


@pytest.fixture
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return static_case(tmp_path, monkeypatch)


@pytest.fixture
def dynamic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return dynamic_case(tmp_path, monkeypatch)


def test_prove_accepts_static_binary(static: Case) -> None:
    proven = static.prove()
    assert {gate.verdict for gate in proven.gates} == {"pass"}
    assert {(gate.station, gate.subject) for gate in proven.gates} == {("prove", "static/linux/amd64")}
    assert msgspec.structs.replace(proven, gates=()) == Proven(
        sha256=Digest.of(asset("static")),
        linkage="static",
        interpreter=None,
        libraries=(),
        go_version="go1.26.8",
        modules=("example.com/lib@v1.2.3",),
        main_module="example.com/hello",
        revision=COMMIT,
        modified=False,
    )


def test_prove_accepts_static_pie(static: Case) -> None:
    assert replace(static, binary=asset("static-pie")).prove().linkage == "static"


def test_prove_accepts_dynamic_binary_on_its_base(dynamic: Case) -> None:
    proven = dynamic.prove()
    assert {gate.verdict for gate in proven.gates} == {"pass"}
    assert proven.libraries == ("/lib/x86_64-linux-gnu/libone.so.1", "/lib/x86_64-linux-gnu/libtwo.so")
    assert (proven.linkage, proven.interpreter) == ("dynamic", "/lib64/ld-linux-x86-64.so.2")


def test_prove_ignores_library_of_other_machine_beside_right_one(dynamic: Case) -> None:
    other = {
        **BASE,
        f"{FOLDER}/libtwo.so": asset("libtwo.so", "arm64"),
        "usr/lib/libtwo.so": asset("libtwo.so"),
    }
    assert "/usr/lib/libtwo.so" in replace(dynamic, base=other).prove().libraries


def test_prove_names_compile_when_binary_is_missing(tmp_path: Path) -> None:
    compiled = Compiled(path=RunPath("x"), sha256=Digest("sha256:" + "0" * 64), go_version="", command=())
    with pytest.raises(UsageError, match="is not there") as raised:
        prove(STATIC, planned(modified=False), compiled, image({}), RunFolder(tmp_path), source=tmp_path)
    assert raised.value.next_step == "sealift compile"


@pytest.mark.parametrize(
    "paths", ["/lib", "$ORIGIN/lib", "/usr/lib:/lib", "${ORIGIN}/usr/lib", "/lib/x86_64/a"]
)
def test_prove_accepts_search_path_of_the_system(dynamic: Case, paths: str) -> None:
    binary = asset("runpath").replace(b"$ORIGIN/lib:/opt/lib", paths.encode().ljust(20, b"\0"))
    assert binary != asset("runpath")
    assert replace(dynamic, binary=binary).prove().linkage == "dynamic"


def test_prove_accepts_modified_tree_that_was_planned(static: Case) -> None:
    assert replace(static, modified=True, settings={"vcs.modified": "true"}).prove().modified
