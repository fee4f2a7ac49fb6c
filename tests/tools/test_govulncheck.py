"""govulncheck itself, over programs that really hold an old module, for two architectures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.process import ProgramFailedError, run
from sealift.rehearsal import advisories
from sealift.tools import govulncheck
from tests.tools.scan_assets import CLIENT, go_program

pytestmark = pytest.mark.programs

OURS = Path(__file__).parents[2] / "ci" / "advisories.yaml"
FORK = advisories.GoAdvisory(
    id="GO-2099-0001",
    cves=("CVE-2099-0001",),
    severity="HIGH",
    summary="made up: the fork brought a fault",
    sources=("https://example.test",),
    affected=(
        advisories.GoModule(
            module="example.test/fork",
            ranges=(advisories.Range(fixed="1.3.0"),),
            packages=(advisories.GoPackage(path="example.test/fork"),),
        ),
    ),
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go-database")
    advisories.write_go_database(advisories.load(OURS), folder)
    return folder


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_an_affected_function_is_found(tmp_path: Path, database: Path, arch: str) -> None:
    (found,) = govulncheck.scan(go_program(tmp_path, arch), database)
    assert (found.id, found.module) == ("GO-2022-0322", CLIENT)
    assert (found.found, found.fixed) == ("v1.11.0", "v1.11.1")
    assert set(found.aliases) == {"CVE-2022-21698", "GHSA-cg3q-j54f-5p7p"}
    assert found.symbol_reached


def test_a_module_whose_affected_function_is_not_in_the_program(tmp_path: Path, database: Path) -> None:
    (found,) = govulncheck.scan(go_program(tmp_path, "amd64", call="Other()"), database)
    assert found.id == "GO-2022-0322"
    assert not found.symbol_reached


def test_a_fixed_module_is_clean(tmp_path: Path, database: Path) -> None:
    assert govulncheck.scan(go_program(tmp_path, "amd64", version="v1.11.1"), database) == ()


def test_an_old_go_is_found(tmp_path: Path, database: Path) -> None:
    """The program is stamped with an old Go of as many letters: its own standard library is current."""
    program = go_program(tmp_path, "amd64", version="v1.11.1")
    stamp = run(["go", "env", "GOVERSION"]).stdout.strip()
    # A much older one has another layout of its tables, and govulncheck does not recognise the program.
    old, fixed = next(
        o for o in (("go1.22.2", "v1.22.4"), ("go1.21.10", "v1.21.11")) if len(o[0]) == len(stamp)
    )
    program.write_bytes(program.read_bytes().replace(stamp.encode(), old.encode()))
    found = {f.id: f for f in govulncheck.scan(program, database)}
    assert found["GO-2024-2887"].module == "stdlib"
    assert found["GO-2024-2887"].found.removeprefix("go").removeprefix("v") == old.removeprefix("go")
    assert found["GO-2024-2887"].fixed == fixed


def test_what_is_no_go_program_is_an_error(tmp_path: Path, database: Path) -> None:
    (tmp_path / "text").write_text("not a program")
    with pytest.raises(ProgramFailedError):
        govulncheck.scan(tmp_path / "text", database)


def test_no_database_is_an_error_and_not_a_clean_answer(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="no Go advisory database"):
        govulncheck.scan(tmp_path / "anything", tmp_path)


# A vendored module needs no network, and its code may be anything.
REPLACED = {"by a folder": "./client", "by another module": "example.test/fork v1.2.0"}


@pytest.mark.parametrize(
    ("name", "ids"), [("by a folder", ["GO-2022-0322"]), ("by another module", ["GO-2099-0001"])]
)
def test_a_replaced_module_is_looked_up_as_what_it_is(tmp_path: Path, name: str, ids: list[str]) -> None:
    """A folder has no other name than the module's; another module has its own, and its own advisories."""
    by = REPLACED[name]
    files = {
        "go.mod": f"module m.test/svc\n\ngo 1.24\n\nrequire {CLIENT} v1.11.0\n\nreplace {CLIENT} => {by}\n",
        "client/go.mod": f"module {CLIENT}\n\ngo 1.24\n",
        "vendor/modules.txt": f"# {CLIENT} v1.11.0 => {by}\n## explicit\n{CLIENT}\n# {CLIENT} => {by}\n",
        f"vendor/{CLIENT}/client.go": "package client\n",
        "main.go": f'package main\n\nimport _ "{CLIENT}"\n\nfunc main() {{}}\n',
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    env = os.environ | {"GOENV": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOPROXY": "off"}
    run(["go", "build", "-buildvcs=false", "-o", tmp_path / "svc", "."], cwd=tmp_path, env=env)
    advisories.write_go_database(advisories.load(OURS).plus(FORK), tmp_path / "database")
    assert [f.id for f in govulncheck.scan(tmp_path / "svc", tmp_path / "database")] == ids
