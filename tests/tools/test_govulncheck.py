"""govulncheck itself, over programs that really hold an old module, for two architectures."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.errors import OutsideError
from sealift.process import ProgramFailedError, run
from sealift.rehearsal import advisories
from sealift.tools import govulncheck
from tests.tools.scan_assets import CLIENT, go_program

pytestmark = pytest.mark.programs

OURS = Path(__file__).parents[2] / "ci" / "advisories.yaml"


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
