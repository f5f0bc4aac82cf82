"""What a person sees when something beside the page fails: a panel where it was awaited, or a toast and what was typed."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

PANEL = """<div class="empty panel" role="alert"><b>Something went wrong on our side</b><code>made-up-id</code>
<a class="button" href="/channel?status=1" hx-get="/channel?status=1" hx-target="#list"
 hx-swap="morph:outerHTML">Try again</a></div>"""
IN_LIST = {"HX-Panel": "part", "HX-Retarget": "#list :is(.scroll, .empty)", "HX-Reswap": "outerHTML", "HX-Reselect": "unset"}


@pytest.fixture
def page(chromium: Browser, site: Any, open_page: Callable[..., Page]) -> Iterator[Page]:
    """Root's page, whose console may complain: these failures are wanted."""
    state = open_page().context.storage_state()
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, base_url=site.url, storage_state=state)
    yield context.new_page()
    context.close()


def fail(page: Page, path: str, times: int = 1, **answer: Any) -> None:
    """The next requests of a path get another answer than the server's, or none."""

    def instead(route: Route) -> None:
        route.fulfill(**answer) if answer else route.abort()

    page.route(re.compile(path), instead, times=times)


def test_a_form_that_is_gone_says_so_in_the_drawer(page: Page, site: Any, axe: Any) -> None:
    made = site.api("POST", "/api/token/", {"name": "soon gone", "unlimited_quota": True, "expired_time": -1})
    page.goto("/token?q=soon")
    link = page.locator("#list tbody .title a").first
    number = re.search(r"\d+", link.get_attribute("href") or "")
    assert made and number
    site.api("DELETE", f"/api/token/{number[0]}")
    link.click()
    expect(page.locator("#drawer .panel")).to_contain_text("Not found")
    expect(page.locator("#drawer .panel code")).to_have_text(re.compile(r"\w{8}"))
    expect(page.locator("#drawer h2")).to_be_focused()
    assert axe(page) == []
    page.click("#drawer .panel >> text=Try again")
    expect(page.locator("#drawer .panel")).to_contain_text("Not found")
    page.click("#drawer [data-close]")
    expect(page.locator("#drawer")).not_to_be_visible()
    expect(page).not_to_have_url(re.compile("edit="))
    expect(page.locator(".toast.bad")).to_have_count(0)


def test_rows_that_fail_leave_the_search_and_come_at_the_next_try(page: Page) -> None:
    page.goto("/channel?q=o")
    expect(page.locator("#list tbody tr").first).to_be_visible()
    fail(page, r"/channel\?.*status=1", status=500, headers=IN_LIST, body=PANEL, content_type="text/html")
    page.click("text=Status >> nth=0")
    page.click("#filter-status a:has-text('Enabled')")
    panel = page.locator("#list .panel")
    expect(panel).to_contain_text("made-up-id")
    expect(page.locator(".toolbar input[type=search]")).to_have_value("o")
    expect(page.locator("#list .pager")).not_to_be_visible()
    expect(page).to_have_url(re.compile("status=1"))
    panel.locator("text=Try again").click()
    expect(page.locator("#list tbody tr").first).to_be_visible()
    expect(panel).to_have_count(0)


def test_a_switch_goes_back_when_the_server_does_not_answer(page: Page) -> None:
    page.goto("/channel")
    switch = page.locator("#list tbody .switch:checked").first
    switch.evaluate("node => node.id = 'tried'")
    switch = page.locator("#tried")
    fail(page, r"/channel/\d+/status")
    switch.click()
    expect(page.locator(".toast.bad")).to_contain_text("The server does not answer")
    expect(switch).to_be_checked()
    for _again in range(2):  # said once, however often it fails
        fail(page, r"/channel/\d+/status")
        with page.expect_event("requestfailed"):
            switch.click()
        expect(switch).to_be_checked()
    expect(page.locator(".toast")).to_have_count(1)


def test_a_save_that_fails_keeps_what_was_typed_and_names_the_request(page: Page) -> None:
    page.goto("/token?add=1")
    page.fill("#f-name", "typed with care")
    fail(page, r"/token/add$", status=502, headers={"X-Oneapi-Request-Id": "id-of-the-proxy"}, body="<h1>Bad gateway</h1>")
    page.click("#drawer .sheet-foot button.primary")
    expect(page.locator(".toast.bad")).to_contain_text("502")
    expect(page.locator(".toast.bad code")).to_have_text("id-of-the-proxy")
    expect(page.locator("#f-name")).to_have_value("typed with care")
    page.click("#drawer .sheet-foot button.primary")
    expect(page.locator("#drawer")).to_contain_text("sk-")
