"""One module, however it is written."""

from __future__ import annotations

import pytest

from sealift.model.modules import GoModule


@pytest.mark.parametrize(
    ("path", "version", "name"),
    [
        ("github.com/BurntSushi/toml", "v1.5.0", "github.com/BurntSushi/toml@v1.5.0"),
        ("github.com/!burnt!sushi/toml", "v1.5.0", "github.com/BurntSushi/toml@v1.5.0"),
        ("gopkg.in/yaml.v3", "v3.0.1", "gopkg.in/yaml.v3@v3.0.1"),
        ("github.com/a/b", "v2.0.0+incompatible", "github.com/a/b@v2.0.0+incompatible"),
        ("example.com/lib", "(devel)", "example.com/lib@"),
        ("example.com/lib", None, "example.com/lib@"),
    ],
)
def test_every_notation_gives_the_same(path: str, version: str | None, name: str) -> None:
    module = GoModule.of(path, version)
    assert str(module) == name
    assert GoModule.parse(name) == module


def test_capitals_tell_two_modules_apart() -> None:
    assert GoModule.of("github.com/Sirupsen/logrus") != GoModule.of("github.com/sirupsen/logrus")


@pytest.mark.parametrize("go", ["go1.26.8", "go1.26.8-X:nodwarf5", "go1.26.8 X:boringcrypto"])
def test_the_standard_library_has_the_version_of_go(go: str) -> None:
    assert str(GoModule.stdlib(go)) == "stdlib@v1.26.8"
