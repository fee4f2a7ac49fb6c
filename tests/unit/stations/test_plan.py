from __future__ import annotations

import pytest

from sealift.errors import UsageError
from sealift.model.names import Version
from sealift.stations.plan import choose_version
from sealift.stations.policy import last_release


def versions(*texts: str) -> tuple[Version, ...]:
    return tuple(map(Version.parse, texts))


@pytest.mark.parametrize(
    ("asked", "on_head", "before", "chosen"),
    [
        (None, (), (), "0.1.0"),
        (None, (), ("1.2.3",), "1.2.4"),
        (None, (), ("0.9.0", "1.2.3"), "1.2.4"),
        (None, (), ("1.2.3", "1.3.0-rc.1"), "1.3.0"),
        (None, ("1.3.0",), ("1.2.3",), "1.3.0"),
        (None, ("1.3.0-rc.1", "1.3.0"), (), "1.3.0"),
        ("v2.0.0", ("1.3.0",), ("1.2.3",), "2.0.0"),
    ],
)
def test_the_version_that_comes_next(
    asked: str | None, on_head: tuple[str, ...], before: tuple[str, ...], chosen: str
) -> None:
    assert str(choose_version(asked, versions(*on_head), versions(*before))) == chosen


@pytest.mark.parametrize(
    ("version", "before", "last"),
    [
        ("1.2.3", (), None),
        ("1.2.3", ("1.2.1", "1.2.2"), "1.2.2"),
        ("1.3.0", ("1.2.2", "1.3.0-rc.1"), "1.2.2"),
        ("1.3.0-rc.2", ("1.2.2", "1.3.0-rc.1"), "1.3.0-rc.1"),
        ("0.1.0", ("0.1.0-rc.1",), "0.1.0-rc.1"),
    ],
)
def test_the_release_that_a_policy_is_compared_with(
    version: str, before: tuple[str, ...], last: str | None
) -> None:
    found = last_release(Version.parse(version), versions(*before))
    assert (None if found is None else str(found)) == last


@pytest.mark.parametrize("asked", ["1.2", "one", "1.2.3+build", ""])
def test_what_is_no_version_is_refused(asked: str) -> None:
    with pytest.raises(UsageError):
        choose_version(asked, (), ())
