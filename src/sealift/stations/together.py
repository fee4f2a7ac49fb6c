"""Doing the same for many things at once."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sealift.errors import ManyErrors, SealiftError

A = TypeVar("A")
B = TypeVar("B")

THREADS = 8


def together(work: Callable[[A], B], items: Sequence[A]) -> list[B]:
    """Work on every item, and return the results in their order; every failure is raised together."""
    with ThreadPoolExecutor(THREADS) as pool:
        # Each thread gets this context, so the programs it runs are recorded for this node of the line.
        running = [pool.submit(contextvars.copy_context().run, work, item) for item in items]
    errors = [error for job in running if (error := job.exception()) is not None]
    for error in errors:
        if not isinstance(error, SealiftError):
            raise error
    if len(errors) > 1:
        raise ManyErrors([e for e in errors if isinstance(e, SealiftError)])
    return [job.result() for job in running]
