"""What failed outside is asked again, for so long and no longer; a refusal never is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift import process, production
from sealift.errors import (
    DefectError,
    InterruptedReleaseError,
    ManyErrors,
    MissingProgramError,
    OutsideError,
    RefusedError,
    SealiftError,
    UsageError,
)
from sealift.patience import Patience, may_help, passes, persist, retry_after, wish
from sealift.process import Completed, ProgramFailedError
from sealift.rehearsal import world

MINUTE = Patience(seconds=60, first=1, longest=8)


@dataclass
class Clock:
    """Time that passes only in pauses, and while somebody works."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@dataclass
class Work:
    """Fails with each error in turn, and then for ever with the last, or gives ``result``."""

    errors: list[SealiftError]
    forever: bool = False
    tries: int = 0

    def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors[0] if self.forever else self.errors.pop(0)
        return "done"


def most(_low: float, high: float) -> float:
    return high


def tried(
    work: Callable[[], str],
    clock: Clock,
    *,
    patience: Patience = MINUTE,
    jitter: Callable[[float, float], float] = most,
) -> str:
    return persist(
        work,
        doing="push static",
        patience=patience,
        next_step="sealift push",
        pause=clock.pause,
        clock=lambda: clock.now,
        jitter=jitter,
    )


def away(retry_after: float | None = None) -> OutsideError:
    return OutsideError("the registry is away", retry_after=retry_after)


def no() -> OutsideError:
    return OutsideError("401", again=False)


def test_what_works_is_done_once_and_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock, work = Clock(), Work([])
    assert tried(work, clock) == "done"
    assert (work.tries, clock.pauses, capsys.readouterr().err) == (1, [], "")


def test_pauses_double_up_to_the_longest() -> None:
    clock = Clock()
    assert tried(Work([away() for _ in range(6)]), clock) == "done"
    assert clock.pauses == [1, 2, 4, 8, 8, 8]


def test_each_wait_says_what_failed_what_it_waits_for_and_what_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tried(Work([OutsideError("the log answered 503:\n  | a page"), away(retry_after=7)]), Clock())
    assert capsys.readouterr().err.splitlines() == [
        "  push static: the log answered 503; again in 1 s, 60 s of 60 s left",
        "  push static: the registry is away; again in 9 s (the server asks for 7 s), 59 s of 60 s left",
    ]


@pytest.mark.parametrize(
    ("advice", "told"),
    [
        ("check HTTPS_PROXY", ["  hint: check HTTPS_PROXY"]),
        ("run again when it answers", []),
    ],
)
def test_after_the_budget_the_advice_of_the_last_error_is_kept(advice: str, told: list[str]) -> None:
    with pytest.raises(OutsideError) as caught:
        tried(Work([OutsideError("no connection", next_step=advice)], forever=True), Clock())
    first, *hints, _, last = str(caught.value).splitlines()
    assert (first, hints, last) == ("no connection", told, "  next: sealift push")


def test_after_the_budget_the_last_error_says_how_long_it_was_tried_and_what_goes_on() -> None:
    clock, work = Clock(), Work([away()], forever=True)
    with pytest.raises(OutsideError, match="the registry is away") as caught:
        tried(work, clock)
    assert (caught.value.exit_code, work.tries) == (4, 10)
    assert sum(clock.pauses) <= MINUTE.seconds
    assert str(caught.value).splitlines() == [
        "the registry is away",
        "  tried 10 times, for 55 s: 5 s of 60 s left (--patience)",
        "  next: sealift push",
    ]


def test_the_budget_begins_with_the_first_failure() -> None:
    clock = Clock()
    work = Work([away()])

    def long() -> str:
        clock.now += 300
        return work()

    assert tried(long, clock) == "done"


def test_time_at_work_counts_too() -> None:
    clock = Clock()

    def long() -> str:
        clock.now += 25
        raise away()

    with pytest.raises(OutsideError, match="tried 4 times, for 82 s: 0 s of 60 s left"):
        tried(long, clock)


def test_a_server_that_asks_for_more_than_is_left_is_not_waited_for() -> None:
    clock = Clock()
    with pytest.raises(OutsideError, match="tried once: the server asks for 120 s more, and 60 s of 60 s"):
        tried(Work([away(retry_after=120)]), clock)
    assert clock.pauses == []


def test_nobody_waits_where_something_else_has_failed_for_good(capsys: pytest.CaptureFixture[str]) -> None:
    clock, failed = Clock(), threading.Event()
    work = Work([away()], forever=True)

    def fails_elsewhere(seconds: float) -> None:
        clock.pause(seconds)
        failed.set()

    with pytest.raises(OutsideError, match="tried 2 times, for 1 s: something else has failed for good, and"):
        persist(
            work,
            doing="x",
            patience=MINUTE,
            next_step="",
            in_vain=failed.is_set,
            pause=fails_elsewhere,
            clock=lambda: clock.now,
            jitter=most,
        )
    assert (work.tries, clock.pauses) == (2, [1])
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_no_patience_is_one_try() -> None:
    clock = Clock()
    with pytest.raises(OutsideError, match=r"tried once: 0 s of 0 s left"):
        tried(Work([away()]), clock, patience=Patience(seconds=0), jitter=lambda low, _high: low)
    assert clock.pauses == []


@settings(deadline=None)
@given(st.floats(0, 1), st.none() | st.integers(0, 600), st.integers(1, 10_000))
def test_a_pause_is_anything_up_to_its_bound_and_never_less_than_what_the_server_asks(
    share: float, asked: int | None, seconds: int
) -> None:
    clock = Clock()
    work = Work([OutsideError("away", retry_after=asked)], forever=True)
    patience = Patience(seconds=seconds)
    with pytest.raises(OutsideError):
        tried(
            work, clock, patience=patience, jitter=lambda low, high: low + (0.2 + 0.8 * share) * (high - low)
        )
    for number, pause in enumerate(clock.pauses):
        bound = min(patience.longest, patience.first * 2**number)
        assert (asked or 0) <= pause <= (asked or 0) + bound
    assert sum(clock.pauses) < seconds


@pytest.mark.parametrize(
    "error",
    [
        RefusedError("no"),
        no(),
        UsageError("what"),
        DefectError("ours"),
        MissingProgramError("none"),
        InterruptedReleaseError("ended"),
        ProgramFailedError(Completed(argv=("false",), returncode=1, stdout="", stderr="")),
        ManyErrors([away(), RefusedError("no")]),
        ManyErrors([away(), no()]),
    ],
    ids=lambda error: f"{type(error).__name__} {error.happened}",
)
def test_whatever_is_no_trouble_of_the_outside_is_raised_at_once(error: SealiftError) -> None:
    clock, work = Clock(), Work([error], forever=True)
    with pytest.raises(type(error)) as caught:
        tried(work, clock)
    assert (caught.value, work.tries, clock.pauses) == (error, 1, [])
    assert not may_help(error)


def test_a_refusal_on_the_second_try_is_a_refusal() -> None:
    work = Work([away(), RefusedError("no")])
    with pytest.raises(RefusedError) as caught:
        tried(work, Clock())
    assert (caught.value.exit_code, work.tries) == (3, 2)


def test_several_that_are_all_away_are_tried_again_after_the_longest_wish() -> None:
    clock = Clock()
    many = ManyErrors([away(retry_after=3), away(), away(retry_after=9)])
    assert wish(many) == 9
    assert tried(Work([many]), clock) == "done"
    assert clock.pauses == [10]
    with pytest.raises(ManyErrors, match="tried once") as caught:
        tried(Work([many]), clock, patience=Patience(seconds=5))
    assert (caught.value.exit_code, caught.value.next_step) == (4, "sealift push")


def test_who_said_no_without_a_word_of_what_helps_gets_the_command_that_goes_on() -> None:
    for error, helps in (
        (no(), "sealift push"),
        (OutsideError("401", next_step="log in", again=False), "log in"),
    ):
        with pytest.raises(OutsideError) as caught:
            tried(Work([error]), Clock())
        assert caught.value.next_step == helps
    with pytest.raises(RefusedError) as refused:
        tried(Work([RefusedError("no")]), Clock())
    assert refused.value.next_step == ""


def test_a_defect_of_the_work_itself_is_not_caught() -> None:
    def broken() -> str:
        raise KeyError("ours")

    with pytest.raises(KeyError):
        tried(broken, Clock())


def test_a_pause_ends_when_the_release_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_ending", threading.Event())
    work = Work([away()], forever=True)
    caught: list[SealiftError] = []

    def waits() -> None:
        try:
            persist(work, doing="x", patience=Patience(seconds=900, first=300), next_step="", jitter=most)
        except SealiftError as error:
            caught.append(error)

    thread = threading.Thread(target=waits)
    thread.start()
    while not work.tries:
        time.sleep(0.001)
    process.end_all()
    thread.join(10)
    assert not thread.is_alive()
    assert [error.exit_code for error in caught] == [130]
    assert work.tries == 1


def test_a_pause_lasts_as_long_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_ending", threading.Event())
    began = time.monotonic()
    process.pause(0.05)
    assert time.monotonic() - began >= 0.05


def test_a_pause_in_vain_ends_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_ending", threading.Event())
    monkeypatch.setattr(process, "_ASK_EVERY", 0.01)
    asked = iter([False, False, True])
    began = time.monotonic()
    process.pause(600, in_vain=lambda: next(asked))
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"retry-after": " 0 "}, 0),
        ({"RETRY-AFTER": "Wed, 25 Nov 2020 11:00:00 GMT"}, 0),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "1.5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "²"}, None),
        ({"Retry-Before": "5"}, None),
    ],
)
def test_retry_after_is_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_is_a_date() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after({"Retry-After": then}) == pytest.approx(90, abs=10)


@settings(deadline=None)
@given(st.text())
def test_whatever_a_server_writes_there_breaks_nothing(text: str) -> None:
    seconds = retry_after({"Retry-After": text})
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425, 429])
def test_a_server_in_trouble_may_answer_otherwise_later(status: int) -> None:
    assert passes(status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 301])
def test_a_server_that_says_no_will_say_it_again(status: int) -> None:
    assert not passes(status)


def test_a_desk_gives_up_soon_and_a_release_within_the_hour() -> None:
    assert 10 <= world.PATIENCE_SECONDS <= 60
    assert 600 <= production.PATIENCE_SECONDS <= 3600
