from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.provision.recipe import all_names, as_numbers, newest_go_needed, read_gomod, read_recipe

KEY = "linux/amd64 go1.26.8"


def test_a_recipe_is_read_from_its_folder(ci: Path, add: Callable[..., Path]) -> None:
    add("crane", "env: {GOEXPERIMENT: jsonv2}\nldflags: -X a.b=1\nseconds: 7\n")
    recipe = read_recipe("crane", ci)
    assert recipe.package == "example.com/crane/v2/cmd/crane"
    assert recipe.version == "v2.3.4"  # of the longest module path that holds the package
    assert (recipe.env, recipe.ldflags, recipe.seconds) == ({"GOEXPERIMENT": "jsonv2"}, "-s -w -X a.b=1", 7)


def test_a_program_of_our_own_takes_the_version_of_the_module_it_names(ci: Path) -> None:
    folder = ci / "tools" / "tsa"
    folder.mkdir()
    (folder / "go.mod").write_text("module tsa\n\ngo 1.26\n\nrequire example.com/authority v2.1.3\n")
    (folder / "main.go").write_text("package main\n")
    (folder / "build.yaml").write_text("module: example.com/authority\n")
    recipe = read_recipe("tsa", ci)
    assert (recipe.package, recipe.version) == (".", "v2.1.3")


def test_every_committed_program_has_a_version() -> None:
    assert len(all_names()) >= 15
    assert [n for n in all_names() if not read_recipe(n).version.startswith("v")] == []


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go"])
def test_another_input_is_another_recipe(ci: Path, add: Callable[..., Path], name: str) -> None:
    folder = add("crane")
    before = read_recipe("crane", ci).digest(KEY)
    with (folder / name).open("a") as stream:
        stream.write("\n")
    assert read_recipe("crane", ci).digest(KEY) != before


@pytest.mark.parametrize("build", ["env: {A: b}\n", "ldflags: -X a.b=1\n"])
def test_another_build_is_another_recipe(ci: Path, add: Callable[..., Path], build: str) -> None:
    folder = add("crane")
    before = read_recipe("crane", ci).digest(KEY)
    (folder / "build.yaml").write_text(build)
    assert read_recipe("crane", ci).digest(KEY) != before


def test_another_go_is_another_recipe_and_another_guess_is_not(ci: Path, add: Callable[..., Path]) -> None:
    folder = add("crane")
    before = read_recipe("crane", ci).digest(KEY)
    assert read_recipe("crane", ci).digest("linux/amd64 go1.26.9") != before
    (folder / "build.yaml").write_text("seconds: 7\n")
    assert read_recipe("crane", ci).digest(KEY) == before


def test_an_unknown_program_names_the_known_ones(ci: Path, add: Callable[..., Path]) -> None:
    add("crane")
    with pytest.raises(UsageError, match="use one of crane"):
        read_recipe("carne", ci)


def test_an_unknown_key_is_refused(ci: Path, add: Callable[..., Path]) -> None:
    add("crane", "ldflag: -X a.b=1\n")
    with pytest.raises(UsageError, match="ldflag"):
        read_recipe("crane", ci)


def test_the_greatest_go_line_counts(ci: Path, add: Callable[..., Path]) -> None:
    add("a", go="1.26")
    add("b", go="1.26.3")
    add("c", go="1.9")
    assert newest_go_needed(all_names(ci), ci) == as_numbers("1.26.3")


def test_go_versions_are_ordered() -> None:
    spelled = ["", "1.9", "1.26rc1", "1.26", "1.26.3", "1.26.10", "1.27"]
    assert sorted(spelled, key=as_numbers) == spelled


def test_two_tools_in_one_module_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "go.mod"
    path.write_text("module m\n\ngo 1.26\n\ntool a\ntool b\n")
    with pytest.raises(UsageError, match="several tools"):
        read_gomod(path)
