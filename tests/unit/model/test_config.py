from __future__ import annotations

from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.model import codec, config

RELEASE = Path(__file__).parents[3] / "ci" / "release.yaml"


def test_our_own_configuration_is_read_and_comes_back_from_json() -> None:
    read = config.load(RELEASE)
    assert set(read.variants) == {"static", "base"}
    assert codec.from_json(codec.to_json(read), config.Config, source="test") == read


@pytest.mark.parametrize(
    ("good", "bad", "says"),
    [
        ("    glibc:", "    glibcc:", ["unknown key glibcc", "perhaps you meant glibc", ":22:"]),
        ("suite:", "suit:", ["unknown key suit", "perhaps you meant suite", ":9:"]),
        ("linux/arm64", "linux/arm46", ["linux/arm46", "perhaps linux/arm64"]),
        ("linux/arm64", "linux/amd64", ["each platform once"]),
        ("linux/amd64", "linux", ["'linux' is not a platform"]),
        ("linux/arm64", "linux/arm/v6", ["linux/arm/v6 names a variant", "write it as linux/arm"]),
        ("linux/arm64", "linux/amd64/v1", ["each platform once"]),
        ("stop_seconds: 2", "stop_seconds: two", [":30:", "stop_seconds"]),
        ("service: health-caretaker", "service: [", ["not YAML"]),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, good: str, bad: str, says: list[str]) -> None:
    text = RELEASE.read_text()
    assert good in text
    path = tmp_path / "release.yaml"
    path.write_text(text.replace(good, bad))
    with pytest.raises(UsageError) as raised:
        config.load(path)
    for words in says:
        assert words in str(raised.value)


def test_a_missing_file_is_an_error_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        config.load(tmp_path / "none.yaml")
