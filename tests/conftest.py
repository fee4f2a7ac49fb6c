"""What every kind of test shares: the programs, and the rule that in CI nothing is skipped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from sealift.provision.cache import cache_folder
from sealift.provision.everything import Provided, provide_all
from sealift.provision.recipe import all_names

ROOT = Path(__file__).parents[1]

# Tests make commits. The variables of a hook that runs them, and a developer's own settings, must not decide
# in which repository, or whether; who owns this checkout does not matter either.
for _name in [name for name in os.environ if name.startswith("GIT_")]:
    del os.environ[_name]
os.environ |= {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}

# Its parent is what is active: in CI Hypothesis' own profile, whose draws are the same ones each time. How
# long one example takes says nothing on a machine that does other things too.
settings.register_profile("without-deadline", deadline=None)
settings.load_profile("without-deadline")


@pytest.fixture(scope="session")
def provided() -> Provided:
    """Every program, built where it is not here yet, and on PATH."""
    return provide_all(all_names(), cache=cache_folder(), debian_programs=["runc", "podman"], emulate=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a test that did not run is a failure: nobody would notice that it no longer does."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("in CI a skipped test is a failure", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
