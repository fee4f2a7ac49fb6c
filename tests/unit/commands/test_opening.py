"""What begins before a release is opened."""

from __future__ import annotations

from pathlib import Path

from sealift.commands.opening import compile_cache, import_in_background
from sealift.model.run import RunFolder


def test_the_interpreter_waits_for_modules_that_load_in_the_background() -> None:
    thread = import_in_background("json", "sealift.errors")
    # A daemon thread that is cut off inside an extension aborts the process: status -6 in place of our own.
    assert not thread.daemon
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_production_compiles_in_a_folder_of_its_own(tmp_path: Path) -> None:
    run, cache = RunFolder(tmp_path / "run"), tmp_path / "cache"
    assert compile_cache(run, cache, production=True).is_relative_to(run.work)
    assert compile_cache(run, cache, production=False).is_relative_to(cache)
