"""What begins before a release is opened."""

from __future__ import annotations

from sealift.commands.opening import import_in_background


def test_the_interpreter_waits_for_modules_that_load_in_the_background() -> None:
    thread = import_in_background("json", "sealift.errors")
    # A daemon thread that is cut off inside an extension aborts the process: status -6 in place of our own.
    assert not thread.daemon
    thread.join(timeout=10)
    assert not thread.is_alive()
