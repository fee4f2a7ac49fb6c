"""The page in a real browser: live, filtered, by keyboard, on a phone, in the dark, and alone."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.browsing import NEWS_MS, PHONE, overflow, shoot
from tests.service.conftest import WATCHED
from tests.service.running import Caretaker
from tests.service.target import Target

pytestmark = pytest.mark.programs

LOOKS = ("body", ".row", "#text", ".group h2", "header")


def shown(page: Page) -> list[str]:
    """Name the endpoints that can be seen, in their order."""
    return page.locator(".row:visible .name").all_text_contents()


def focused(page: Page) -> str:
    """Say what has the focus: an id, or the name of the row."""
    name: str = page.evaluate(
        "(e => e.id || e.querySelector('.name')?.textContent || e.value)(document.activeElement)"
    )
    return name


def colours(page: Page) -> list[str]:
    """Return the colours of text and ground of some parts."""
    of = "e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor].join(' on ')"
    return [page.locator(part).first.evaluate(of) for part in LOOKS]


def test_a_change_appears_without_a_reload(page: Page, target: Target) -> None:
    page.evaluate("window.since = 'the first load'")
    expect(page.get_by_role("heading", level=1)).to_have_text("2 of 6 endpoints are down")
    target.broken.add("/shop")
    expect(page.locator(".group.down .name")).to_have_text(["mail", "shop", "stock"], timeout=NEWS_MS)
    expect(page.get_by_role("heading", level=1)).to_have_text("3 of 6 endpoints are down")
    expect(page.locator(".group.down li", has_text="shop").locator(".error")).to_contain_text("503")
    expect(page.get_by_role("log")).to_contain_text("shop is down")
    target.broken.clear()
    expect(page.get_by_role("heading", level=1)).to_have_text("All 6 endpoints are up", timeout=NEWS_MS)
    assert page.evaluate("window.since") == "the first load"


def test_the_filter_by_text_state_and_label(page: Page) -> None:
    assert shown(page) == ["mail", "stock", "archive", "library", "payroll", "shop"]
    text = page.get_by_label("Filter by text")
    text.fill("st")
    assert shown(page) == ["stock"]
    text.fill("SERVICE 503 office")
    assert shown(page) == ["mail"]
    text.fill("")
    page.get_by_role("radio", name="Down").check()
    assert shown(page) == ["mail", "stock"]
    page.get_by_label("Label", exact=True).select_option("team=sales")
    assert shown(page) == ["stock"]
    page.get_by_role("radio", name="Up").check()
    assert shown(page) == ["shop"]
    text.fill("nothing like this")
    expect(page.get_by_text("No endpoint matches the filter")).to_be_visible()
    page.get_by_role("button", name="Show all endpoints").click()
    assert len(shown(page)) == len(WATCHED)


def test_a_filter_is_in_the_address(page: Page) -> None:
    page.get_by_label("Filter by text").fill("o")
    page.get_by_label("Label", exact=True).select_option("team=office")
    assert urlsplit(page.url).query == "text=o&label=team%3Doffice"
    page.reload()
    expect(page.locator(".row:visible .name")).to_have_text(["mail", "payroll"])
    expect(page.get_by_label("Label", exact=True)).to_have_value("team=office")


def test_all_of_it_by_keyboard(page: Page) -> None:
    visited: list[str] = []
    while (not visited or visited[-1] != "mail") and len(visited) < 10:
        page.keyboard.press("Tab")
        visited.append(focused(page))
    assert visited[-3:] == ["", "label", "mail"]
    assert "text" in visited
    page.keyboard.press("Tab")
    assert focused(page) == "stock"
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("heading", level=2)).to_have_text("stock")
    expect(dialog.locator("#one-chart rect.bad").first).to_be_visible()
    shoot(page, "dialog")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert focused(page) == "stock"
    page.keyboard.press("ArrowDown")
    assert focused(page) == "archive"
    page.keyboard.press("/")
    assert focused(page) == "text"


def test_the_focus_shows(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    row = page.locator(".row:focus-visible")
    expect(row.locator(".name")).to_have_text("mail")
    expect(row).to_have_css("outline-style", "solid")


def test_a_check_is_asked_for(page: Page, target: Target) -> None:
    page.get_by_role("link", name="shop").click()
    page.get_by_role("button", name="Check now").click()
    expect(page.locator("#checked")).to_contain_text("It answered well")
    target.broken.add("/shop")
    page.get_by_role("button", name="Check now").click()
    expect(page.locator("#checked")).to_contain_text("503")
    expect(page.locator("#one-state")).to_contain_text("down")


def test_a_phone_scrolls_in_one_direction(page: Page) -> None:
    page.set_viewport_size(PHONE)
    assert overflow(page) == 0
    shoot(page, "phone")
    page.get_by_role("link", name="stock").click()
    expect(page.locator("#one-chart rect.bad").first).to_be_visible()
    assert overflow(page) == 0
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    shoot(page, "phone-dialog")


def test_the_dark_has_other_colours(page: Page) -> None:
    light = colours(page)
    shoot(page, "light")
    page.emulate_media(color_scheme="dark")
    dark = colours(page)
    shoot(page, "dark")
    assert [part for part, a, b in zip(LOOKS, light, dark, strict=True) if a == b] == []
    assert luminance(dark[0].partition(" on ")[0]) > luminance(dark[0].partition(" on ")[2])
    assert luminance(light[0].partition(" on ")[0]) < luminance(light[0].partition(" on ")[2])


def luminance(colour: str) -> float:
    """Say how bright a colour of the form rgb(1, 2, 3) is."""
    red, green, blue = (int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(", "))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_nothing_is_asked_of_anybody_else(browser: Browser, caretaker: Caretaker) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.goto(caretaker.url)
        page.get_by_role("link", name="stock").click()
        expect(page.locator("#one-chart rect.bad").first).to_be_visible()
        page.get_by_role("button", name="Check now").click()
        expect(page.locator("#checked")).to_contain_text("503")
    paths = {urlsplit(url).path for url in asked}
    assert {"/", "/page.css", "/page.js", "/ws", "/api/v1/endpoints/stock/check"} <= paths
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(caretaker.url).netloc}


def test_an_open_endpoint_scrolls_in_one_direction_on_a_phone(page: Page) -> None:
    page.set_viewport_size(PHONE)
    page.get_by_role("link", name="archive").click()
    expect(page.locator("#one-chart rect.good")).to_have_count(1)
    assert page.locator("#one").evaluate("e => e.scrollWidth - e.clientWidth") == 0


def test_an_address_that_hides_a_secret_is_text_and_any_other_a_link(
    page: Page, caretaker: Caretaker, target: Target
) -> None:
    secret = f"{target.url}/secret?token=abc"
    config = json.loads((caretaker.folder / "config.json").read_text())
    config["endpoints"].append({"name": "zoo", "url": secret, "interval": "1h"})
    caretaker.configure(config)
    address = page.locator("#one-address")
    for name, text, leads in (
        ("zoo", f"{target.url}/secret?token=xxxxx", False),
        ("shop", f"{target.url}/shop", True),
        ("zoo", f"{target.url}/secret?token=xxxxx", False),
    ):
        page.locator(".row", has_text=name).click(timeout=NEWS_MS)
        expect(address).to_have_text(text)
        assert address.evaluate("(a) => a.hasAttribute('href')") == leads
        page.keyboard.press("Escape")
