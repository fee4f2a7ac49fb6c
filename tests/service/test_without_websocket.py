"""The page behind proxies that pass no WebSocket: it polls the API, and shows no invented number."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, expect

from sealift.services.ports import LOOPBACK
from tests.service.browsing import DESK, NEWS_MS, shoot
from tests.service.conftest import WATCHED
from tests.service.running import Caretaker
from tests.service.target import Target

pytestmark = pytest.mark.programs

# What a browser does when the handshake is refused, when no answer comes, and when a policy forbids it.
REFUSED = (
    "window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.({}), 20); } close() {} };"
)
SILENT = "window.WebSocket = class { close() {} };"
FORBIDDEN = "window.WebSocket = class { constructor() { throw new DOMException('no', 'SecurityError'); } };"
ONCE = """{
  const Real = window.WebSocket;
  let opened = 0;
  window.WebSocket = function (address) {
    if (opened++ > 0) return new Real(address);
    setTimeout(() => this.onclose?.({}), 20);
  };
}"""
HOP_BY_HOP = {"host", "connection", "upgrade", "content-length", "transfer-encoding"}
NOT_LIVE = "not live, updated every 5 s"


@contextmanager
def opened(browser: Browser, url: str, script: str = "") -> Iterator[Page]:
    with browser.new_context(viewport=DESK) as context:
        page = context.new_page()
        if script:
            page.add_init_script(script)
        page.goto(url)
        yield page


@pytest.mark.parametrize("script", [REFUSED, SILENT, FORBIDDEN], ids=["refused", "silent", "forbidden"])
def test_page_polls_the_api_when_no_websocket_opens(
    browser: Browser, caretaker: Caretaker, target: Target, script: str
) -> None:
    with opened(browser, caretaker.url, script) as page:
        expect(page.locator(".row")).to_have_count(len(WATCHED))
        expect(page.locator("#line")).to_have_text(NOT_LIVE)
        expect(page.get_by_role("heading", level=1)).to_have_text("2 of 6 endpoints are down")
        target.broken.add("/shop")
        expect(page.locator(".group.down .name")).to_have_text(["mail", "shop", "stock"], timeout=NEWS_MS)
        shoot(page, "not-live")


def test_page_is_live_as_soon_as_a_websocket_opens(browser: Browser, caretaker: Caretaker) -> None:
    with opened(browser, caretaker.url, ONCE) as page:
        expect(page.locator("#line")).to_have_text("live")
        expect(page.locator(".row")).to_have_count(len(WATCHED))


def test_page_shows_no_number_while_nothing_is_known(browser: Browser, caretaker: Caretaker) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.add_init_script(REFUSED)
        page.route("**/api/**", lambda route: route.abort())
        page.goto(caretaker.url)
        expect(page.locator("#line")).to_have_text("connection lost, trying again")
        expect(page.get_by_role("heading", level=1)).to_have_text("Nothing is known yet")
        assert not any(letter.isdigit() for letter in page.locator("main").inner_text())
        assert "0" not in "".join(page.locator("[data-count]").all_text_contents())
        page.unroute("**/api/**")
        expect(page.locator(".row")).to_have_count(len(WATCHED))
        caretaker.end()
        expect(page.locator("#line")).to_have_text("connection lost, trying again")


@contextmanager
def reverse_proxy(caretaker: Caretaker, path: str) -> Iterator[str]:
    """Serve the page below a path: with another Host, and without WebSocket, as an HTTP/1.0 proxy does."""

    class Handler(BaseHTTPRequestHandler):
        def forward(self) -> None:
            if not self.path.startswith(path):
                self.send_error(404)
                return
            passed = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            request = urllib.request.Request(  # noqa: S310
                caretaker.url + self.path.removeprefix(path), headers=passed, method=self.command
            )
            try:
                answer = urllib.request.urlopen(request, timeout=10)  # noqa: S310
            except urllib.error.HTTPError as refused:
                answer = refused
            with answer:
                self.reply(answer.status, answer.headers, answer.read())

        def reply(self, status: int, headers: HTTPMessage, body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = forward  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Keep the output of the tests clean."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}{path}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_page_works_behind_a_proxy_that_adds_a_path_and_changes_host(
    browser: Browser, caretaker: Caretaker, target: Target
) -> None:
    with reverse_proxy(caretaker, "/status/") as url, opened(browser, f"{url}#/shop") as page:
        expect(page.locator("#line")).to_have_text(NOT_LIVE)
        expect(page.locator(".row")).to_have_count(len(WATCHED))
        expect(page.get_by_role("dialog")).to_be_visible()
        expect(page.locator("#one-chart rect.good").first).to_be_visible()
        target.broken.add("/shop")
        page.get_by_role("button", name="Check now").click()
        expect(page.locator("#checked")).to_contain_text("503")
