"""Prove, with real ELF files: what it lets pass, and each thing that it refuses.

Build info is what ``go version -m -json`` prints, because nothing may be started here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift.elf.rootfs import Rootfs
from sealift.errors import UsageError
from sealift.model import config
from sealift.model.evidence import Compiled, Proven
from sealift.model.names import Digest, Platform, RunPath, Version
from sealift.model.plan import Cell, Plan
from sealift.model.run import RunFolder
from sealift.process import Completed
from sealift.stations.gate import GateRefusedError
from sealift.stations.prove import prove
from sealift.tools import gobinary
from tests.unit.elf.assets import asset
from tests.unit.elf.crafted import RUNPATH, STRTAB, crafted, many_needed, start
from tests.unit.elf.tars import image

COMMIT, OTHER = "a" * 40, "b" * 40
STATIC = Cell("static", Platform("linux/amd64"))
DYNAMIC = Cell("base", Platform("linux/amd64"))
FOLDER = "lib/x86_64-linux-gnu"
BASE: Mapping[str, bytes | str] = {
    "lib64": FOLDER,
    f"{FOLDER}/ld-linux-x86-64.so.2": asset("ld-linux-x86-64.so.2"),
    f"{FOLDER}/libone.so.1": asset("libone.so"),
    f"{FOLDER}/libtwo.so": asset("libtwo.so"),
}
SETTINGS = {
    "GOOS": "linux",
    "GOARCH": "amd64",
    "GOAMD64": "v1",
    "CGO_ENABLED": "0",
    "vcs.revision": COMMIT,
    "vcs.modified": "false",
}
CGO = {"CGO_ENABLED": "1"}


def without(files: Mapping[str, bytes | str], name: str) -> Mapping[str, bytes | str]:
    assert f"{FOLDER}/{name}" in files
    return {path: data for path, data in files.items() if path != f"{FOLDER}/{name}"}


def go_said(settings: Mapping[str, str], path: str, module: str) -> str:
    return json.dumps(
        {
            "GoVersion": "go1.26.8",
            "Path": path,
            "Main": {"Path": module, "Version": "(devel)"},
            "Deps": [{"Path": "example.com/lib", "Version": "v1.2.3", "Sum": "h1:x"}],
            "Settings": [{"Key": key, "Value": value} for key, value in settings.items()],
        }
    )


@dataclass(frozen=True)
class Case:
    """One binary on its way through the station."""

    root: Path
    monkeypatch: pytest.MonkeyPatch
    cell: Cell = STATIC
    binary: bytes = field(default_factory=lambda: asset("static"))
    base: Mapping[str, bytes | str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    compiled: bytes | None = None
    modified: bool = False
    path: str = "example.com/hello/cmd/health-caretaker"
    module: str = "example.com/hello"

    def prove(self) -> Proven:
        run, plan = RunFolder(self.root), planned(self.modified)
        path = run.binary(self.cell, plan.config.service)
        run.publish(path, self.binary)
        self._let_go_say(go_said({**SETTINGS, **self.settings}, self.path, self.module))
        source = self.root / "source"
        module = source / plan.config.go.module
        module.mkdir(parents=True)
        (module / "go.mod").write_text("module example.com/hello // as it is\n\ngo 1.26\n", encoding="utf-8")
        compiled = Compiled(
            path=path,
            sha256=Digest.of(self.binary if self.compiled is None else self.compiled),
            go_version="go1.26.8",
            command=(),
        )
        return prove(self.cell, plan, compiled, named(image(self.base)), run, source=source)

    def refused(self) -> list[str]:
        with pytest.raises(GateRefusedError) as raised:
            self.prove()
        assert raised.value.exit_code == 3
        return [gate.detail for gate in raised.value.gates if gate.verdict != "pass"]

    def _let_go_say(self, words: str) -> None:
        def run(argv: Any, **_: Any) -> Completed:
            assert argv[:4] == ["go", "version", "-m", "-json"]
            return Completed(argv=("go",), returncode=0, stdout=words, stderr="")

        self.monkeypatch.setattr(gobinary, "run", run)


def planned(modified: bool) -> Plan:
    return Plan(
        version=Version.parse("1.2.3"),
        commit=COMMIT,
        time=0,
        modified=modified,
        left_out=(),
        config=config.load(Path(__file__).parents[3] / "ci" / "release.yaml"),
        moving_tags=(),
    )


def named(base: Rootfs) -> Rootfs:
    base.origin = "distroless/base"
    return base


@pytest.fixture
def static(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch)


@pytest.fixture
def dynamic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(tmp_path, monkeypatch, DYNAMIC, asset("dynamic"), BASE, CGO)


def test_a_static_binary_passes_on_nothing(static: Case) -> None:
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


def test_a_static_pie_passes(static: Case) -> None:
    assert replace(static, binary=asset("static-pie")).prove().linkage == "static"


def test_a_dynamic_binary_passes_on_its_base(dynamic: Case) -> None:
    proven = dynamic.prove()
    assert {gate.verdict for gate in proven.gates} == {"pass"}
    assert proven.libraries == ("/lib/x86_64-linux-gnu/libone.so.1", "/lib/x86_64-linux-gnu/libtwo.so")
    assert (proven.linkage, proven.interpreter) == ("dynamic", "/lib64/ld-linux-x86-64.so.2")


def test_a_dynamic_binary_for_static_is_refused(static: Case) -> None:
    assert replace(static, binary=asset("dynamic"), base=BASE).refused() == [
        "interpreter: expected None, got /lib64/ld-linux-x86-64.so.2",
        "needed libraries: expected (), got ('libone.so.1',)",
    ]


def test_a_static_binary_for_base_is_refused(dynamic: Case) -> None:
    assert replace(dynamic, binary=asset("static"), settings={}).refused() == [
        "linkage: expected dynamic, got static",
        "interpreter None is not in distroless/base",
        "cgo: expected True, got False",
    ]


def test_a_missing_interpreter_is_refused(dynamic: Case) -> None:
    assert replace(dynamic, base=without(BASE, "ld-linux-x86-64.so.2")).refused() == [
        "interpreter /lib64/ld-linux-x86-64.so.2 is not in distroless/base"
    ]


@pytest.mark.parametrize(
    ("name", "needed_by"), [("libone.so.1", "/health-caretaker"), ("libtwo.so", "libone.so.1")]
)
def test_a_missing_library_is_refused(dynamic: Case, name: str, needed_by: str) -> None:
    assert replace(dynamic, base=without(BASE, name)).refused() == [
        f"{name}, needed by {needed_by}, is not in distroless/base"
    ]


def test_a_missing_version_is_refused(dynamic: Case) -> None:
    older = {**BASE, f"{FOLDER}/libone.so.1": asset("libone-old.so")}
    assert replace(dynamic, base=older).refused() == [
        "libone.so.1 of distroless/base has no ONE_1.1, needed by /health-caretaker"
    ]


def test_a_base_for_another_machine_is_refused(dynamic: Case) -> None:
    other = {**BASE, f"{FOLDER}/libtwo.so": asset("libtwo.so", "arm64")}
    assert replace(dynamic, base=other).refused() == [
        "libtwo.so, needed by libone.so.1, is not in distroless/base",
        "/lib/x86_64-linux-gnu/libtwo.so of distroless/base cannot be used: is for arm64, not amd64",
    ]


def test_a_file_that_was_passed_over_for_a_good_one_is_no_fault(dynamic: Case) -> None:
    other = {
        **BASE,
        f"{FOLDER}/libtwo.so": asset("libtwo.so", "arm64"),
        "usr/lib/libtwo.so": asset("libtwo.so"),
    }
    assert "/usr/lib/libtwo.so" in replace(dynamic, base=other).prove().libraries


def test_a_binary_for_another_machine_is_refused(static: Case) -> None:
    assert replace(static, binary=asset("static", "arm64")).refused() == [
        "machine: expected amd64, got arm64"
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"vcs.revision": OTHER}, f"vcs.revision: expected {COMMIT}, got {OTHER}"),
        ({"vcs.modified": "true"}, "vcs.modified: expected False, got True"),
        ({"vcs.modified": "maybe"}, "vcs.modified: expected False, got None"),
        ({"GOARCH": "arm64"}, "built for: expected linux/amd64, got linux/arm64"),
        ({"GOOS": "freebsd"}, "built for: expected linux/amd64, got freebsd/amd64"),
        ({"CGO_ENABLED": "1"}, "cgo: expected False, got True"),
    ],
)
def test_build_info_that_was_not_planned_is_refused(
    static: Case, settings: dict[str, str], words: str
) -> None:
    assert replace(static, settings=settings).refused() == [words]


def test_a_changed_tree_must_be_said(static: Case) -> None:
    assert replace(static, modified=True).refused() == ["vcs.modified: expected True, got False"]
    assert (
        replace(static, root=static.root / "again", modified=True, settings={"vcs.modified": "true"})
        .prove()
        .modified
    )


def test_a_binary_without_a_stamp_is_refused(static: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("vcs.revision", "vcs.modified"):
        monkeypatch.delitem(SETTINGS, key)
    assert static.refused() == [
        f"vcs.revision: expected {COMMIT}, got None",
        "vcs.modified: expected False, got None",
    ]


@pytest.mark.parametrize("changed", [asset("static")[:-1] + b"\x01", asset("dynamic"), b"#!/bin/sh\n"])
def test_other_bytes_than_were_compiled_are_refused(static: Case, changed: bytes) -> None:
    """One bit makes another binary, and nothing that it says of itself is asked."""
    assert changed != asset("static")
    (words,) = replace(static, binary=changed, compiled=asset("static")).refused()
    assert words == f"bytes on disk: expected {Digest.of(asset('static'))}, got {Digest.of(changed)}"


@pytest.mark.parametrize(
    ("binary", "words"),
    [(b"#!/bin/sh\n", "looks like a script"), (b"", "is empty"), (asset("static")[:-1], "is cut off")],
)
def test_what_is_no_program_is_refused(static: Case, binary: bytes, words: str) -> None:
    (refused,) = replace(static, binary=binary).refused()
    assert words in refused


def test_a_binary_that_is_gone_names_the_station_that_makes_it(tmp_path: Path) -> None:
    compiled = Compiled(path=RunPath("x"), sha256=Digest("sha256:" + "0" * 64), go_version="", command=())
    with pytest.raises(UsageError, match="is not there") as raised:
        prove(STATIC, planned(modified=False), compiled, image({}), RunFolder(tmp_path), source=tmp_path)
    assert raised.value.next_step == "sealift compile"


def test_everything_that_is_wrong_is_named_at_once(dynamic: Case) -> None:
    base = without(without(BASE, "ld-linux-x86-64.so.2"), "libtwo.so")
    refused = replace(dynamic, base=base, settings={"vcs.revision": OTHER, **CGO}).refused()
    assert [words.partition(" ")[0] for words in refused] == ["interpreter", "libtwo.so,", "vcs.revision:"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"path": "example.com/hello/cmd/not-the-service"},
            "main package: expected example.com/hello/cmd/health-caretaker",
        ),
        ({"path": "command-line-arguments"}, "main package: expected example.com/hello/cmd/health-caretaker"),
        ({"module": "example.com/not-the-service"}, "main module: expected example.com/hello"),
        ({"module": "", "path": ""}, "main module: expected example.com/hello"),
        ({"settings": {"GOAMD64": "v3"}}, "GOAMD64: expected v1, got v3"),
        ({"settings": {"GOAMD64": ""}}, "GOAMD64: expected v1, got "),
    ],
)
def test_a_binary_of_something_else_is_refused(static: Case, changed: dict[str, Any], words: str) -> None:
    assert any(words in reason for reason in replace(static, **changed).refused())


@pytest.mark.parametrize("paths", ["/run", "$ORIGIN/tmp", "/lib::/usr/lib", "/proc/self/fd", "/home/nonroot"])
def test_a_binary_that_loads_from_elsewhere_is_refused(dynamic: Case, paths: str) -> None:
    binary = asset("runpath").replace(b"$ORIGIN/lib:/opt/lib", paths.encode().ljust(20, b"\0"))
    assert binary != asset("runpath")
    (reason,) = replace(dynamic, binary=binary).refused()
    assert "is no folder of the system's libraries" in reason


@pytest.mark.parametrize(
    "paths", ["/lib", "$ORIGIN/lib", "/usr/lib:/lib", "${ORIGIN}/usr/lib", "/lib/x86_64/a"]
)
def test_a_binary_that_loads_from_the_system_passes(dynamic: Case, paths: str) -> None:
    binary = asset("runpath").replace(b"$ORIGIN/lib:/opt/lib", paths.encode().ljust(20, b"\0"))
    assert binary != asset("runpath")
    assert replace(dynamic, binary=binary).prove().linkage == "dynamic"


def test_a_library_of_the_base_that_loads_from_elsewhere_is_refused(dynamic: Case) -> None:
    library = crafted([(STRTAB, start(2)), (RUNPATH, 0)], b"/home/nonroot\0")
    assert replace(dynamic, base={**BASE, f"{FOLDER}/libtwo.so": library}).refused() == [
        f"/{FOLDER}/libtwo.so: RUNPATH '/home/nonroot' is no folder of the system's libraries"
    ]


def test_build_info_glued_to_another_program_is_refused(static: Case) -> None:
    binary = asset("static").replace(b".gopclntab", b".gopcln\0ab")
    assert binary != asset("static")
    assert replace(static, binary=binary).refused() == [
        "it has 0 sections .gopclntab, not one, as Go's linker writes it"
    ]


def test_a_binary_that_keeps_its_readers_busy_is_refused(dynamic: Case) -> None:
    (reason,) = replace(dynamic, binary=many_needed(4000)).refused()
    assert "has 4000 entries DT_NEEDED, more than 512" in reason
