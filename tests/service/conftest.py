"""The service's binary is built once; each test has a process, a target and a page of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from sealift.provision import debian
from sealift.provision.cache import cache_folder
from sealift.provision.go import find_go
from tests.service.browsing import NEWS_MS, opened
from tests.service.running import JSON, Caretaker, build
from tests.service.target import Target

# Name and label of what is watched; every one of them is a path of the target.
WATCHED = {
    "archive": "records",
    "library": "records",
    "mail": "office",
    "payroll": "office",
    "shop": "sales",
    "stock": "sales",
}

# Also what is there at once comes late where the machine is busy.
expect.set_options(timeout=NEWS_MS)


def watching(target: Target) -> JSON:
    """Return a configuration that asks for each of them every three seconds, and for the archive once.

    An endpoint's answer may take as long as its interval: in one second a packet that is lost does not come
    again.
    """
    endpoints = [
        {"name": name, "url": f"{target.url}/{name}", "interval": "3s", "labels": {"team": team}}
        for name, team in WATCHED.items()
    ]
    endpoints[0]["interval"] = "1h"
    return {"endpoints": endpoints}


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("built"), find_go(cache=cache_folder()).path)


@pytest.fixture(scope="session")
def chromium() -> Path:
    # Where Chromium comes as a snap, hosted runners have Chrome instead.
    return debian.find("google-chrome") or debian.ensure(["chromium"])["chromium"]


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Inside a container Chromium's own sandbox has no right to be made.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as serving:
        yield serving


@pytest.fixture
def caretaker(binary: Path, target: Target, tmp_path: Path) -> Iterator[Caretaker]:
    """Watch six endpoints, two of which are down."""
    target.broken |= {"/mail", "/stock"}
    with Caretaker.start(binary, tmp_path, watching(target)) as running:
        yield running


@pytest.fixture
def page(browser: Browser, caretaker: Caretaker) -> Iterator[Page]:
    """Open the page of the six."""
    with opened(browser, caretaker, rows=len(WATCHED)) as page:
        yield page
