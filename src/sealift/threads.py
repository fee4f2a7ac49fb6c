"""Threads whose programs end when we are told to end: Python waits for its threads, and they for those."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from sealift.process import end_all


@contextmanager
def threads_of(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads, and wait for them at the end: nobody may write any more into what is removed next.

    What they run is ended by an interrupt.
    """
    with ThreadPoolExecutor(count) as threads:
        try:
            yield threads
        except BaseException as error:
            if not isinstance(error, Exception):
                end_all()
            threads.shutdown(cancel_futures=True)
            raise
