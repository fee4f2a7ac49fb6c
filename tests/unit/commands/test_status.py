"""What ``sealift status`` is asked for, and for how long it looks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sealift.commands.opening import Asked
from sealift.commands.status import one_version, patiently
from sealift.errors import UsageError
from sealift.model.status import Finding, Verdict


def findings(*verdicts: Verdict) -> tuple[Finding, ...]:
    return tuple(
        Finding(what="asset", subject="a", verdict=verdict, expected="b", got="c") for verdict in verdicts
    )


class Looks:
    """Look at one thing after the other."""

    def __init__(self, *looks: Sequence[Finding]) -> None:
        self.left = [tuple(look) for look in looks]

    def __call__(self) -> tuple[Finding, ...]:
        return self.left.pop(0)


def test_what_could_not_be_looked_at_is_told_at_once() -> None:
    looks = Looks(findings("not checked", "agrees"), findings("agrees"))
    assert patiently(0, looks) == findings("not checked", "agrees")
    assert len(looks.left) == 1


def test_with_patience_it_is_looked_at_again() -> None:
    looks = Looks(findings("not checked"), findings("agrees"))
    assert patiently(60, looks) == findings("agrees")


def test_what_was_looked_at_and_is_wrong_needs_no_patience() -> None:
    looks = Looks(findings("missing", "differs"), findings("agrees"))
    assert patiently(60, looks) == findings("missing", "differs")


def test_a_version_is_named_either_way_and_once() -> None:
    assert one_version(Asked(), "1.2.3").version == "1.2.3"
    assert one_version(Asked(version="1.2.3"), None).version == "1.2.3"
    assert one_version(Asked(version="1.2.3"), "1.2.3").version == "1.2.3"
    with pytest.raises(UsageError, match=r"1\.2\.3 and --version=1\.2\.4"):
        one_version(Asked(version="1.2.4"), "1.2.3")
