"""A configuration that is refused while the service runs: the page says so, and goes on."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.service.browsing import NEWS_MS, shoot_all
from tests.service.conftest import WATCHED, watching
from tests.service.running import Caretaker
from tests.service.target import Target

pytestmark = pytest.mark.programs


def test_a_bad_file_is_told_with_its_fields_until_a_good_one_comes(
    page: Page, caretaker: Caretaker, target: Target
) -> None:
    page.evaluate("window.since = 'the first load'")
    notice = page.get_by_role("alert")
    expect(notice).to_be_hidden()

    bad = watching(target)
    bad["colour"] = "green"
    bad["endpoints"][0]["interval"] = "0.5s"
    bad["endpoints"][3] |= {"url": "ftp://archive.example/", "timeout": "2h"}
    bad["endpoints"][5]["name"] = bad["endpoints"][4]["name"]
    caretaker.configure(bad)
    expect(notice).to_be_visible(timeout=NEWS_MS)
    expect(notice).to_contain_text("The new configuration is refused; the old one stays")
    problems = page.locator("#problems").inner_text().splitlines()
    assert [line.partition(": ")[0] for line in problems] == [
        "colour",
        "endpoints[0].interval",
        "endpoints[3].url",
        "endpoints[3].timeout",
        "endpoints[5].name",
    ]
    shoot_all(page, "refused")

    target.broken.add("/shop")  # the old endpoints go on
    expect(page.locator(".group.down .name")).to_have_text(["mail", "shop", "stock"], timeout=NEWS_MS)
    expect(page.locator(".row")).to_have_count(len(WATCHED))
    expect(notice).to_be_visible()

    good = watching(target)
    del good["endpoints"][-1]
    caretaker.configure(good)
    expect(notice).to_be_hidden(timeout=NEWS_MS)
    expect(page.locator(".row .name")).to_have_text(["mail", "shop", "archive", "library", "payroll"])
    assert page.evaluate("window.since") == "the first load"
