"""The moments: what a seed draws, and when one that waits for something outside was met."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.kills.moments import LINES, OTHER_EVERY, AfterLines, How, World, every_moment, moments, windows
from tests.kills.stages import Out, Stage, When, out_of_order, told
from tests.kills.watching import wait_until

WHOLE: Out = {
    Stage.IMAGES: 2,
    Stage.SIGNATURES: 24,
    Stage.ASSETS: 10,
    Stage.VERSION_TAGS: 2,
    Stage.PUBLISHED: 1,
    Stage.MOVING_TAGS: 6,
}
NOTHING: Out = dict.fromkeys(Stage, 0)
PUSHED: Out = {**NOTHING, Stage.IMAGES: 2}
READY: Out = {**PUSHED, Stage.SIGNATURES: 24, Stage.ASSETS: 10}


def test_a_seed_draws_the_same_moments_from_everywhere_and_of_every_kind() -> None:
    drawn = moments(40, 1)
    assert drawn == moments(40, 1)
    assert drawn != moments(40, 2)
    assert {m.how for m in drawn} == set(How)
    assert {m.service for m in drawn if m.service} == {*World.USUAL.services, "rekor-server"}
    assert all(m.service in ("", *m.world.services) for m in drawn)
    assert sum(m.world is World.OTHER for m in drawn) == len(drawn) / OTHER_EVERY
    lines = [m.when.lines for m in drawn if isinstance(m.when, AfterLines)]
    assert {count * 4 // (LINES + 1) for count in lines} == {0, 1, 2, 3}


def test_a_seed_draws_the_same_place_in_each_window() -> None:
    drawn = windows(41, 1)
    assert drawn == windows(41, 1)
    assert drawn != windows(41, 2)
    assert {m.when.stage for m in drawn if isinstance(m.when, When)} == set(Stage) - {Stage.MOVING_TAGS}
    assert {m.world for m in drawn} == set(World)
    assert all(m.service in ("", *m.world.services) for m in drawn)


def test_every_moment_has_a_number_of_its_own_and_every_service_of_sigstore_is_killed_alone() -> None:
    drawn = every_moment(40, 1)
    assert [m.number for m in drawn] == list(range(len(drawn)))
    alone = {m.service for m in drawn if m.how is How.SERVICE}
    assert alone >= {"fulcio", "ctlog", "tsa", "issuer", "email-issuer", "rekor1", "rekor-server"}
    assert alone >= {"registry", "github", "buildkitd"}


@pytest.mark.parametrize(
    ("when", "out", "met"),
    [
        (When(Stage.IMAGES, 1), NOTHING, False),
        (When(Stage.IMAGES, 1), {**NOTHING, Stage.IMAGES: 1}, True),
        (When(Stage.IMAGES, 1), PUSHED, False),
        (When(Stage.IMAGES, 2), PUSHED, True),
        (When(Stage.IMAGES, 2), {**PUSHED, Stage.SIGNATURES: 24}, True),
        (When(Stage.IMAGES, 2), READY, False),
        (When(Stage.SIGNATURES, 8), {**PUSHED, Stage.SIGNATURES: 7}, False),
        (When(Stage.SIGNATURES, 8), {**PUSHED, Stage.SIGNATURES: 23}, True),
        (When(Stage.SIGNATURES, 8), {**PUSHED, Stage.SIGNATURES: 24}, False),
        (When(Stage.PUBLISHED, 1), {**WHOLE, Stage.MOVING_TAGS: 0}, True),
        (When(Stage.PUBLISHED, 1), WHOLE, False),
    ],
)
def test_a_moment_that_came_too_late_was_not_met(when: When, out: Out, met: bool) -> None:
    assert when.was_met(out, WHOLE) is met


@pytest.mark.parametrize(
    "out",
    [
        NOTHING,
        {**NOTHING, Stage.IMAGES: 1},
        {**PUSHED, Stage.SIGNATURES: 3, Stage.ASSETS: 4},
        {**READY, Stage.VERSION_TAGS: 1},
        {**READY, Stage.VERSION_TAGS: 2, Stage.PUBLISHED: 1, Stage.MOVING_TAGS: 2},
        WHOLE,
    ],
)
def test_each_step_after_the_one_before_it_is_in_order(out: Out) -> None:
    assert list(out_of_order(out, WHOLE)) == []


@pytest.mark.parametrize(
    ("out", "wrong"),
    [
        ({**NOTHING, Stage.IMAGES: 1, Stage.SIGNATURES: 1}, "1 signatures with 1 of 2 images"),
        ({**NOTHING, Stage.IMAGES: 1, Stage.ASSETS: 1}, "1 assets with 1 of 2 images"),
        ({**READY, Stage.SIGNATURES: 23, Stage.VERSION_TAGS: 1}, "1 version tags with 23 of 24 signatures"),
        ({**READY, Stage.ASSETS: 9, Stage.VERSION_TAGS: 1}, "1 version tags with 9 of 10 assets"),
        (
            {**READY, Stage.VERSION_TAGS: 1, Stage.PUBLISHED: 1},
            "1 releases published with 1 of 2 version tags",
        ),
        ({**WHOLE, Stage.PUBLISHED: 0}, "6 moving tags with 0 of 1 releases published"),
    ],
)
def test_what_is_out_before_its_time_is_named(out: Out, wrong: str) -> None:
    assert list(out_of_order(out, WHOLE)) == [wrong]


def test_what_is_out_is_told_with_how_much_there_will_be() -> None:
    assert told(NOTHING, WHOLE) == "nothing"
    assert told(WHOLE, WHOLE) == "everything"
    half = {**PUSHED, Stage.SIGNATURES: 3, Stage.ASSETS: 4}
    assert told(half, WHOLE) == "2 of 2 images, 3 of 24 signatures, 4 of 10 assets"


def test_who_waits_looks_until_it_is_there_and_past_what_is_just_being_written() -> None:
    looks: Iterator[int | Exception] = iter([0, ValueError("half a file"), FileNotFoundError("gone"), 1, 3])
    seen: list[int | Exception] = []

    def count() -> int:
        look = next(looks)
        seen.append(look)
        if isinstance(look, Exception):
            raise look
        return look

    assert wait_until(count, 2, over=lambda: False)
    assert seen[-1] == 3


def test_who_waits_for_what_never_comes_stops_at_the_end() -> None:
    over = threading.Event()
    threading.Timer(0.05, over.set).start()
    assert not wait_until(lambda: 0, 1, over=over.is_set)
    assert over.is_set()
