"""Which settings let through more than their default, and what changed between two commits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift.model import bases, config, policy
from sealift.model.config import Config, GoBuild, Variant
from sealift.model.exceptions import Exception_
from tests.conftest import ROOT

RELEASE = (ROOT / "ci" / "release.yaml").read_text(encoding="utf-8")


def configured(old: str = "", new: str = "") -> Config:
    assert old in RELEASE
    return config.parse(RELEASE.replace(old, new), Path("release.yaml"))


def keys(kind: Any, before: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from keys(field.type, f"{before}{field.name}.")
        elif field.name != "variants":
            yield f"{before}{field.name}"


def test_of_every_setting_it_is_decided_whether_it_belongs_to_the_policy() -> None:
    listed = [setting.key for setting in policy.SETTINGS]
    assert sorted([*listed, *policy.OTHERS]) == sorted(keys(Config)), "put a new setting into one of the two"
    assert {"go.module"} <= policy.OTHERS
    assert set(policy.OF_VARIANTS) <= {field.name for field in msgspec.structs.fields(Variant)}
    assert len(msgspec.structs.fields(GoBuild)) == 3


def test_a_setting_that_can_be_weaker_has_a_default_and_a_reason() -> None:
    for setting in policy.SETTINGS:
        assert (setting.weaker is None) == (not setting.default) == (not setting.why)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[HIGH, CRITICAL]", "[CRITICAL]", "gates.severities: CRITICAL (default HIGH, CRITICAL): "),
        ("not_checked: refuse", "not_checked: allow", "gates.not_checked: allow (default refuse): "),
        ("stop_seconds: 2", "stop_seconds: 10.5", "gates.stop_seconds: 10.5 (default 10): "),
        ('"65532:65532"', '"65532:0"', "image.user: 65532:0 (default 65532:65532): "),
        ("suite: debian12", "suite: debian12\ngithub: a.ghe.com\nissuer: https://x.ghe.com", "issuer: "),
    ],
)  # fmt: skip
def test_what_is_weaker_is_named_with_its_default(old: str, new: str, words: str) -> None:
    (one,) = policy.weaker(configured(old, new), (), {})
    assert str(one).startswith(words)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("[HIGH, CRITICAL]", "[HIGH]"),
        ("[HIGH, CRITICAL]", "[MEDIUM, CRITICAL]"),
        ("require_fix: true", "require_fix: false"),
        ("start_seconds: 30", "start_seconds: 5"),
        ('"65532:65532"', '"1000:1000"'),
        ("suite: debian12", "suite: debian12\ngithub: acme.ghe.com"),
        ("suite: debian12", "suite: debian12\nmoving_tags: []\ngithub_latest: false"),
    ],
)
def test_what_is_as_strict_is_not(old: str, new: str) -> None:
    assert policy.weaker(configured(old, new), (), {}) == ()


def test_only_the_waivers_and_bases_of_this_suite_are_weaker_here_but_all_are_compared() -> None:
    old = Exception_(kind="base", id="debian13", owner="them", reason="it is", until=date(2027, 1, 1))
    locked = f'{{digest: "sha256:{"0" * 64}", identity: a@b.c, issuer: x, date: 2026-01-01}}'
    lock = bases.parse(f"debian13: {{static: {locked}}}", Path("lock"))
    assert policy.weaker(configured(), [old], lock) == ()
    assert [one.key for one in policy.weaker(configured("debian12", "debian13"), [old], lock)] == [
        "ci/exceptions.yaml: base debian13",
        "ci/bases.lock.yaml: debian13.static",
    ]
    assert [str(one) for one in policy.changes({}, policy.of_waivers([old]))] == [
        "ci/exceptions.yaml: base debian13: added: until 2027-01-01, them: it is"
    ]
    assert [one.now for one in policy.changes(policy.of_lock(lock), {})] == [None]
