"""A thousand endpoints on the page, which is a supported size: all there, filtered, live, and opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.browsing import opened, shoot_all
from tests.service.running import Caretaker
from tests.service.target import Target

pytestmark = pytest.mark.programs

MANY = 1000
INTERVAL = "10s"
# An interval with its jitter; the rest is patience.
NEWS_MS = 30_000
DOWN = ["endpoint-0007", "endpoint-0500"]


@pytest.fixture
def thousand(binary: Path, target: Target, tmp_path: Path) -> Iterator[Caretaker]:
    """Watch a thousand endpoints of one server, of which two are down."""
    endpoints = [
        {
            "name": (name := f"endpoint-{i:04}"),
            "url": f"{target.url}/{name}",
            "interval": INTERVAL,
            "labels": {"team": ("office", "records", "sales")[i % 3]},
        }
        for i in range(MANY)
    ]
    target.broken |= {f"/{name}" for name in DOWN}
    with Caretaker.start(binary, tmp_path, {"endpoints": endpoints}) as caretaker:
        yield caretaker


@pytest.fixture
def page(browser: Browser, thousand: Caretaker) -> Iterator[Page]:
    with opened(browser, thousand, rows=MANY) as page:
        yield page


def test_a_thousand_endpoints_are_shown_filtered_live_and_opened(page: Page, target: Target) -> None:
    page.evaluate("window.since = 'the first load'")
    title = page.get_by_role("heading", level=1)
    expect(title).to_have_text("2 of 1000 endpoints are down")
    expect(page.locator(".group.down .name")).to_have_text(DOWN)
    expect(page.get_by_role("heading", name="Up · 998")).to_be_visible()
    assert page.get_by_role("listitem").count() == MANY
    shoot_all(page, "thousand")
    assert page.locator("fieldset").evaluate("e => e.scrollWidth - e.clientWidth") == 0  # on the phone

    text = page.get_by_label("Filter by text")
    text.press_sequentially("endpoint-012 sales")
    rows = page.locator(".row:visible .name")
    expect(rows).to_have_text([f"endpoint-{i:04}" for i in (122, 125, 128)])
    expect(page.get_by_role("heading", name="Up · 3 of 998")).to_be_visible()

    target.broken |= {"/endpoint-0125", "/endpoint-0999"}  # one of them is not wanted by the filter
    expect(title).to_have_text("4 of 1000 endpoints are down", timeout=NEWS_MS)
    expect(rows).to_have_text(["endpoint-0125", "endpoint-0122", "endpoint-0128"])
    expect(page.locator(".group.down h2")).to_have_text("Down · 1 of 4")

    page.get_by_role("link", name="endpoint-0125").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text("endpoint-0125")
    expect(dialog.locator("#one-chart rect.bad")).not_to_have_count(0)
    target.broken.discard("/endpoint-0125")
    expect(dialog.locator("#one-state")).to_have_text(re.compile("^up for "), timeout=NEWS_MS)
    page.keyboard.press("Escape")

    text.fill("")
    expect(rows).to_have_count(MANY)
    expect(page.locator(".group.down .name")).to_have_text([*DOWN, "endpoint-0999"])
    in_order = page.locator(".group.up .name").all_text_contents()
    assert in_order == sorted(in_order)
    assert "endpoint-0125" in in_order
    assert page.evaluate("window.since") == "the first load"
