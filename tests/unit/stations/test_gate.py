from __future__ import annotations

import pytest

from sealift.errors import OutsideError
from sealift.model.evidence import Gate
from sealift.stations.gate import GateRefusedError, Looks, NotCheckedError


def done(looks: Looks, *, allow_not_checked: bool = False) -> tuple[Gate, ...]:
    return looks.done(
        means="it would ship wrong", next_step="sealift image", allow_not_checked=allow_not_checked
    )


def test_what_holds_passes_and_is_written_down() -> None:
    looks = Looks("image", "static")
    looks.equal("user", expected="65532", got="65532")
    looks.true(True, "no shell", "a shell")
    looks.excused("known")
    gates = done(looks)
    assert [(g.station, g.subject, g.verdict, g.detail) for g in gates] == [
        ("image", "static", "pass", "user: 65532"),
        ("image", "static", "pass", "no shell"),
        ("image", "static", "excused", "known"),
    ]


def test_everything_that_fails_is_named_and_the_rest_is_kept() -> None:
    looks = Looks("image", "static")
    looks.equal("user", expected="65532", got=None)
    looks.passed("something")
    looks.true(False, "no shell", "shells: /bin/sh")
    with pytest.raises(GateRefusedError) as caught:
        done(looks)
    assert caught.value.happened.splitlines() == [
        "image refused static",
        "  refused: user: expected 65532, got None",
        "  refused: shells: /bin/sh",
    ]
    assert (caught.value.means, caught.value.next_step) == ("it would ship wrong", "sealift image")
    assert len(caught.value.gates) == 3
    assert caught.value.exit_code == 3


def test_a_station_that_looked_at_nothing_does_not_pass() -> None:
    for allowed in (False, True):
        try:
            gates = done(Looks("scan", "static"), allow_not_checked=allowed)
        except GateRefusedError as refused:
            assert not allowed
            gates = refused.gates
        assert [(g.verdict, g.detail) for g in gates] == [("not-checked", "nothing was looked at")]


def test_what_was_not_checked_passes_only_where_the_configuration_says_so() -> None:
    looks = Looks("scan", "static")
    looks.not_checked("no answer")
    with pytest.raises(GateRefusedError, match="not-checked: no answer"):
        done(looks)
    assert [g.verdict for g in done(looks, allow_not_checked=True)] == ["not-checked"]
    looks.refused("wrong")
    with pytest.raises(GateRefusedError, match="refused: wrong"):
        done(looks, allow_not_checked=True)


def test_what_the_outside_kept_us_from_is_no_refusal() -> None:
    looks = Looks("base", "static")
    looks.passed("index")
    looks.not_checked("signature: away", OutsideError("away", retry_after=5))
    looks.not_checked("list: away", OutsideError("away", retry_after=9))
    with pytest.raises(NotCheckedError, match="base could not look at everything") as caught:
        done(looks)
    assert (caught.value.exit_code, caught.value.again, caught.value.retry_after) == (4, True, 9)
    assert [g.verdict for g in caught.value.gates] == ["pass", "not-checked", "not-checked"]
    assert caught.value.happened.splitlines()[1:] == [
        "  not-checked: static: signature: away",
        "  not-checked: static: list: away",
    ]
    looks.not_checked("login: 401", OutsideError("401", again=False))
    with pytest.raises(NotCheckedError) as caught:
        done(looks)
    assert not caught.value.again
    assert done(looks, allow_not_checked=True)


def test_a_refusal_outranks_what_was_not_checked() -> None:
    looks = Looks("base", "static")
    looks.not_checked("signature: away", OutsideError("away"))
    looks.refused("index: another")
    with pytest.raises(GateRefusedError, match="index: another"):
        done(looks)
