"""What a first visit of every page costs, but for time: weight, requests, shifts of the layout, elements."""

import re
from collections.abc import Callable
from typing import Any

import load
import pytest
from pages import PAGES, PUBLIC
from playwright.sync_api import Browser, Page, expect

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
