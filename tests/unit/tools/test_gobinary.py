"""What ``go version -m -json`` prints, read without it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.tools.gobinary import Module, import_path, parse_build_info


def test_reads_modules_and_replacements() -> None:
    printed = {
        "GoVersion": "go1.26.8",
        "Path": "example.com/hello/cmd/hello",
        "Main": {"Path": "example.com/hello", "Version": "v1.0.0+dirty"},
        "Deps": [
            {"Path": "example.com/a", "Version": "v1.2.3", "Sum": "h1:a"},
            {"Path": "b", "Version": "v1", "Replace": {"Path": "c", "Version": "v2", "Sum": "h1:c"}},
            {"Path": "d", "Version": "v0.0.0", "Replace": {"Path": "../d", "Version": "(devel)"}},
            {"Path": "e", "Version": "v3", "Sum": "", "Replace": {"Path": "/e"}},
        ],
        "Settings": [{"Key": "CGO_ENABLED", "Value": "1"}, {"Key": "-race"}],
    }
    info = parse_build_info(json.dumps(printed).encode(), "hello")
    assert info.modules == (
        Module(path="example.com/a", version="v1.2.3", sum="h1:a"),
        Module(path="c", version="v2", sum="h1:c"),
        Module(path="d", version="v0.0.0", sum="", folder="../d"),
        Module(path="e", version="v3", sum="", folder="/e"),
    )
    assert [line.partition(":")[0] for line in info.limitations] == [
        "d is the folder ../d",
        "e is the folder /e",
    ]
    assert (info.main_module.version, info.cgo_enabled, info.vcs_modified) == ("v1.0.0+dirty", True, None)
    assert info.settings["-race"] == ""


def test_a_program_outside_a_module() -> None:
    info = parse_build_info(b'{"GoVersion": "go1.26.8", "Main": {}}', "hello")
    assert (info.main_module.path, info.modules, info.goos) == ("", (), None)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"GoVersion": 1}'])
def test_anything_else_is_a_plain_error(raw: bytes) -> None:
    with pytest.raises(UsageError, match="printed something else for hello"):
        parse_build_info(raw, "hello")


@pytest.mark.parametrize(
    ("dependency", "words"),
    [
        ({"Path": "a", "Version": "v1", "Sum": "h1:x"}, []),
        ({"Path": "a", "Version": "v1"}, ["Go modules are built from vendor/"]),
        ({"Path": "a", "Version": "(devel)"}, ["a is built from the repository and has no version"]),
    ],
)
def test_what_a_version_does_not_tell_is_said(dependency: dict[str, str], words: list[str]) -> None:
    info = parse_build_info(json.dumps({"GoVersion": "go1.26.8", "Deps": [dependency]}).encode(), "hello")
    assert [line.partition(":")[0] for line in info.limitations] == words


@pytest.mark.parametrize(
    ("folder", "package", "path"),
    [
        (".", "./cmd/x", "example.com/m/cmd/x"),
        (".", ".", "example.com/m"),
        (".", "example.com/m/cmd/x", "example.com/m/cmd/x"),
        (".", "example.com/m", "example.com/m"),
        # go takes the go.mod of the nearest folder above, and the package from where it stands.
        ("svc", "./cmd/x", "example.com/m/svc/cmd/x"),
        ("svc", ".", "example.com/m/svc"),
        ("svc", "example.com/m/svc", "example.com/m/svc"),
    ],
)
def test_a_package_has_the_import_path_that_go_gives_it(
    tmp_path: Path, folder: str, package: str, path: str
) -> None:
    (tmp_path / "go.mod").write_text("module example.com/m\n\ngo 1.24\n")
    (tmp_path / "svc").mkdir()
    assert import_path(tmp_path / folder, package) == ("example.com/m", path)


@pytest.mark.parametrize(("text", "words"), [(b"go 1.24\n", "names no module"), (b"\xff", "cannot be read")])
def test_a_go_mod_without_a_module_is_a_plain_error(tmp_path: Path, text: bytes, words: str) -> None:
    (tmp_path / "go.mod").write_bytes(text)
    with pytest.raises(UsageError, match=words):
        import_path(tmp_path, ".")
