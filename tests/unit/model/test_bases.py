"""The lock of the bases: a mistake in it is named with its place, deep inside mappings too."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.errors import UsageError
from sealift.model import bases

GOOD = f"""\
debian12:
  static:
    digest: sha256:{"1" * 64}
    identity: me@example.test
    issuer: https://issuer.test
    date: 2026-11-24
  base:
    digest: sha256:{"2" * 64}
    identity: me@example.test
    issuer: https://issuer.test
    date: 2026-11-24
"""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (f"    digest: sha256:{'2' * 64}", "    digset: x", [":8: unknown key digset", "meant digest"]),
        (f"sha256:{'2' * 64}", "sha256:2", [":8:", "is not a digest"]),
        ("2026-11-24\n  base", "yesterday\n  base", [":6:", "date"]),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, says: list[str]) -> None:
    path = tmp_path / "bases.lock.yaml"
    assert old in GOOD
    path.write_text(GOOD, encoding="utf-8")
    assert set(bases.load(path)["debian12"]) == {"static", "base"}
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        bases.load(path)
    for words in says:
        assert words in str(raised.value)


@pytest.mark.parametrize("text", ["", "# nothing is locked\n"])
def test_a_lock_without_entries_is_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bases.lock.yaml"
    path.write_text(text, encoding="utf-8")
    assert bases.load(path) == {}
    assert bases.load(tmp_path / "absent.yaml") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("debian12: [", "bases.lock.yaml:2: not YAML"),
        (GOOD + GOOD, "bases.lock.yaml:12: debian12: the key is there twice, first in line 1"),
        (GOOD.replace("me@example.test", "1"), "bases.lock.yaml:4: debian12.static.identity: a whole number"),
    ],
)
def test_a_lock_that_cannot_be_read_is_an_error_of_usage(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bases.lock.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        bases.load(path)
    assert says in str(raised.value)
