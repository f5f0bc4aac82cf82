"""What a first visit of every page costs, but for time: weight, requests, shifts of the layout, elements."""

import re
from collections.abc import Callable
from typing import Any

import load
import pytest
from pages import PAGES, PUBLIC
from playwright.sync_api import Browser, Page, expect

HTML, ALL, REQUESTS, SHIFT, NODES = 12_000, 100_000, 12, 0.02, 2500
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
        if found.html > html or found.all > ALL or found.requests > REQUESTS or found.cls > SHIFT or found.nodes > NODES:
            over.append(f"{name}: {found}")
    assert over == []


def test_nothing_is_loaded_twice_and_files_are_kept(open_page: Callable[..., Page]) -> None:
    """The second page of a visit brings its own HTML and nothing else."""
    page, loaded = open_page(), []
    page.goto("/token", wait_until="networkidle")
    page.on("response", lambda answer: loaded.append(answer.url) if not answer.request.is_navigation_request() else None)
    page.click(".rail a[href='/log']")
    expect(page.locator("h1")).to_contain_text("Logs")
    page.wait_for_load_state("networkidle")
    assert not [url for url in loaded if "/static/" in url and not url.endswith("mark.svg")]  # the tab's icon comes from memory
