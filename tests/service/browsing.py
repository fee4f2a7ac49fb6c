"""The page in Chromium, watched for errors, and what is looked at there.

with opened(browser, caretaker, rows=6) as page:
    shoot(page, "light")
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.conftest import ROOT
from tests.service.running import Caretaker

SHOTS = ROOT / "build" / "screenshots"
# A check in three seconds, a jitter, and the fifth of a second in which changes are gathered: the rest is
# patience.
NEWS_MS = 15_000
DESK: ViewportSize = {"width": 1200, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


@contextmanager
def opened(browser: Browser, caretaker: Caretaker, *, rows: int) -> Iterator[Page]:
    """Open the page, see it alive with so many rows, and let nobody leave an error in its console."""
    with browser.new_context(viewport=DESK, color_scheme="light") as context:
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto(caretaker.url)
        expect(page.locator("#line")).to_have_text("live")
        expect(page.locator(".row")).to_have_count(rows)
        yield page
        assert errors == []


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the window for whoever wants to look."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def shoot_all(page: Page, name: str) -> None:
    """Keep pictures of a desk and a phone, in the light and in the dark; neither may scroll sideways."""
    for size, window in (("desk", DESK), ("phone", PHONE)):
        page.set_viewport_size(window)
        assert overflow(page) == 0
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            shoot(page, f"{name}-{size}-{scheme}")
