"""What a first visit of every page costs, but for time: weight, requests, shifts of the layout, elements."""

import re
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from threading import Thread
from typing import Any

import load
import pytest
from pages import PAGES, PUBLIC
from playwright.sync_api import Browser, Page, Route, expect

HTML, SCRIPTS, ALL, REQUESTS, SHIFT, NODES = 12_000, 9 * 1024, 100_000, 12, 0.02, 2500
ON_PHONES = ("overview", "keys", "key", "logs", "log", "channels", "channel", "users", "settings", "playground")
FORM = 20_000  # a list with a form beside it, or one that holds every provider


@pytest.mark.parametrize(("who", "width"), [("root", 1440), ("root", 390), ("", 390)])
def test_a_first_visit_is_light_and_still(
    who: str, width: int, open_page: Callable[..., Page], chromium: Browser, site: Any
) -> None:
    state, over = open_page(user=who, width=width).context.storage_state(), []
    for name, path in (PAGES if who else PUBLIC).items():
        if width < 700 and who and name not in ON_PHONES:
            continue
        size = {"width": width, "height": 900}
        fresh = load.observed(chromium.new_context(viewport=size, base_url=site.url, storage_state=state))
        found = load.visit(fresh.new_page(), path)
        fresh.close()
        html = FORM if re.search("edit|add|tests", path) else HTML
        heavy = found.html > html or found.scripts > SCRIPTS or found.all > ALL
        if heavy or found.requests > REQUESTS or found.cls > SHIFT or found.nodes > NODES:
            over.append(f"{name}: {found}")
    assert over == []


def test_a_font_that_comes_late_moves_nothing(chromium: Browser, site: Any) -> None:
    """What the page stands in until then has other widths: lines would wrap elsewhere under the reader's eyes."""

    def late(page: Page, path: str) -> None:
        held: list[Route] = []
        page.route("**/inter.woff2*", lambda route: held.append(route))
        page.goto(path, wait_until="commit")
        expect(page.locator(".toasts")).to_be_attached()
        page.wait_for_timeout(300)  # the text stands, and was read
        held[0].continue_()

    for path in PUBLIC.values():
        assert shifted(chromium, site.url, path, late) == 0, path


def test_a_page_that_comes_in_pieces_moves_nothing(chromium: Browser, site: Any) -> None:
    """On a slow line, or a slow machine, a browser paints what it has: what stands must stay when the rest comes."""

    class Pieces(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with urllib.request.urlopen(site.url + self.path) as answer:
                body = answer.read()
                self.send_response(200)
                for name in ("Content-Type", "Content-Security-Policy"):
                    self.send_header(name, answer.headers.get(name, ""))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            start = body.find(b"<main")
            cuts = [0, start - 400, start + 300, start + 900, len(body)] if start > 0 else [0, len(body)]
            for left, right in pairwise(cuts):
                self.wfile.write(body[left:right])
                if start > 0:
                    time.sleep(0.15)  # the slow line itself: time enough to paint what has come

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pieces)
    Thread(target=server.serve_forever, daemon=True).start()
    for path in PUBLIC.values():
        assert shifted(chromium, f"http://127.0.0.1:{server.server_port}", path, Page.goto) == 0, path
    server.shutdown()
    server.server_close()


def shifted(chromium: Browser, url: str, path: str, visit: Callable[[Page, str], Any]) -> float:
    """How much the layout moved on a phone while a page was visited."""
    context = load.observed(chromium.new_context(viewport={"width": 390, "height": 900}, base_url=url))
    page = context.new_page()
    visit(page, path)
    page.wait_for_load_state("load")
    load.rest(page)
    moved = float(page.evaluate("seen.cls"))
    context.close()
    return moved


def test_nothing_is_loaded_twice_and_files_are_kept(open_page: Callable[..., Page]) -> None:
    """The second page of a visit brings its own HTML and the module of what only it has; later ones bring HTML alone."""
    page, loaded = open_page(), []
    page.goto("/token", wait_until="networkidle")
    page.on("response", lambda answer: loaded.append(answer.url.rpartition("/")[2]) if "/static/" in answer.url else None)
    for path, title in (("/log", "Logs"), ("/token", "API keys"), ("/log", "Logs")):
        page.click(f".rail a[href='{path}']")
        expect(page.locator("h1")).to_contain_text(title)
        page.wait_for_load_state("networkidle")
    assert set(loaded) <= {"charts.js", "mark.svg"} and loaded.count("charts.js") == 1  # the tab's icon comes from memory
