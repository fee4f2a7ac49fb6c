from __future__ import annotations

import contextvars
import threading

import pytest

from sealift.errors import ManyErrors, OutsideError, RefusedError
from sealift.stations.together import together

NODE = contextvars.ContextVar("NODE", default="nobody")


def test_results_come_in_the_order_of_the_items() -> None:
    first_waits = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            assert first_waits.wait(10)
        else:
            first_waits.set()
        return 10 * number

    assert together(work, [1, 2]) == [10, 20]
    assert together(work, []) == []


def test_each_works_in_the_callers_context() -> None:
    NODE.set("sign")
    assert together(lambda _: NODE.get(), [1, 2, 3]) == ["sign"] * 3


def fail(error: Exception | None) -> None:
    if error is not None:
        raise error


def test_one_failure_is_itself_and_several_are_told_together() -> None:
    with pytest.raises(OutsideError, match="late"):
        together(fail, [None, OutsideError("late")])
    with pytest.raises(ManyErrors) as caught:
        together(fail, [OutsideError("late"), None, RefusedError("wrong")])
    assert str(caught.value) == "late\nwrong"
    assert caught.value.exit_code == 3


def test_a_defect_is_not_hidden_among_them() -> None:
    with pytest.raises(ZeroDivisionError):
        together(fail, [OutsideError("late"), ZeroDivisionError(), RefusedError("wrong")])
