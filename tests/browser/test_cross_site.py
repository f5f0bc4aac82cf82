"""Another site that leads a signed-in browser to addresses of ours, on plain http where browsers say least."""

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import served as installations
from patience import PATIENCE
from playwright.sync_api import Browser, Page

GATEWAY, EVIL = "gateway.test", "evil.test"


@pytest.fixture
def evil() -> Iterator[Callable[[str], str]]:
    """evil(address): an address on another site whose page sends the browser there."""

    class Attacker(BaseHTTPRequestHandler):
        target = ""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<a id="go" href="{self.target}">A prize</a>'.encode())

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Attacker)
    Thread(target=server.serve_forever, daemon=True).start()

    def leads_to(address: str) -> str:
        Attacker.target = address
        return f"http://{EVIL}:{server.server_port}/"

    yield leads_to
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(site: installations.Site, chromium: Browser, enter: Callable[[Page, str], None]) -> Iterator[Page]:
    """Root's browser, signed in at a plain-http host name: not a secure context, unlike localhost."""
    context = chromium.new_context(base_url=f"http://{GATEWAY}:{urlsplit(site.url).port}")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    enter(page, "root")
    yield page
    context.close()


@pytest.mark.parametrize("path", ["/api/user/token", "/api/oauth/email/bind?email=a@evil.test&code=1", "/api/user/logout"])
def test_a_link_on_another_site_changes_nothing(page: Page, evil: Callable[[str], str], path: str) -> None:
    own = page.url.partition("/dashboard")[0]
    page.goto(evil(own + path))
    with page.expect_navigation() as arrived:
        page.click("#go")
    sent = arrived.value.request.all_headers()
    assert "oneapi_session_" in sent["cookie"] and "origin" not in sent and "sec-fetch-site" not in sent
    assert arrived.value.status == 403 and "X-CSRF-Token" in arrived.value.text()
    assert page.goto(f"{own}/api/user/self").json()["data"]["username"] == "root", "still signed in"
