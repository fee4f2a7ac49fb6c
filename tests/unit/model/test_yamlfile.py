"""A small file cannot become a large value."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import UsageError
from sealift.model.yamlfile import parse_yaml


def read(text: str) -> Any:
    return parse_yaml(text, Path("file.yaml"), dict[str, Any])


def doubled(levels: int) -> str:
    lines = [f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]" for n in range(1, levels)]
    return "\n".join(["x0: &x0 [a]", *lines])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: " + "[" * 1_000_000, "file.yaml:1: more than 32 levels"),
        ("a: " + "{b: " * 1000, "file.yaml:1: more than 32 levels"),
        ("- " * 100_000, "file.yaml:1: more than 32 levels"),
        ("a: [" + "x, " * 30_000 + "x]", "or 20000 values"),
        (doubled(30), "or 20000 values"),
        ("a: &a {b: [1, *a]}", "file.yaml:1: *a stands inside &a"),
        ("a: &a\n  <<: *a", "file.yaml:2: *a stands inside &a"),
    ],
)
def test_what_is_too_deep_or_too_large_is_refused_at_once(text: str, words: str) -> None:
    began = time.process_time()
    with pytest.raises(UsageError) as refused:
        read(text)
    assert words in str(refused.value)
    assert time.process_time() - began < 5


def test_aliases_and_merged_mappings_are_read() -> None:
    found = read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\n")
    assert found == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": [{"x": 1, "y": 2}] * 2}
    assert len(read(doubled(10))["x9"]) == 2
    assert read("") == {}
