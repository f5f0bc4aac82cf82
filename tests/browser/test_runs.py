"""Runs of jobs as the page of channels tells them."""

import re
from collections.abc import Callable, Iterator
from threading import Semaphore
from typing import Any

import pytest
from patience import expect_told
from playwright.sync_api import Page, expect
from served import Vendor


@pytest.fixture
def slow(site: Any) -> Iterator[list[str]]:
    """Names of channels whose vendor answers when a turn is released."""
    names = [f"Slow {n}" for n in range(4)]
    Vendor.turns = Semaphore(0)
    for name in names:
        site.api(
            "POST", "/api/channel/", {"type": 1, "name": name, "key": "sk-slow", "base_url": site.vendor, "models": "gpt-4o"}
        )
    yield names
    Vendor.turns.release(2 * len(names))
    for row in site.api("GET", "/api/channel/search?keyword=Slow")["data"]:
        site.api("DELETE", f"/api/channel/{row['id']}")


def test_a_run_is_told_live_and_rows_change_as_they_finish(open_page: Callable[..., Page], slow: list[str]) -> None:
    page, asked = open_page(), []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.goto("/channel?q=Slow")
    page.click("text=Test all")
    expect(page.locator("#run progress")).to_be_visible()
    row = page.locator("tr", has_text=slow[0])
    expect(row.locator(".spin:visible")).to_be_visible()
    Vendor.turns.release()
    expect(row.locator(".health")).to_have_attribute("aria-label", re.compile("1 of the last"))
    expect(page.locator("#run progress")).to_be_visible()  # its row is new while the others wait
    row.locator(".check").click()
    Vendor.turns.release(len(slow))
    expect_told(page, "done")
    expect(page.locator("#run progress")).to_have_count(0)
    expect(row.locator(".check")).to_be_checked()
    expect(page.locator("#bulk [data-count]")).to_have_text("1")
    assert asked.count("events") >= 1 and asked.count("banner") <= 4


def test_a_run_is_followed_by_asking_where_events_do_not_come_through(open_page: Callable[..., Page], slow: list[str]) -> None:
    page = open_page()
    page.route("**/events", lambda route: route.fulfill(status=204, body=""))
    page.goto("/channel?q=Slow")
    page.click("text=Test all")
    expect(page.locator("#run progress:not([value='0'])")).to_be_visible()
    Vendor.turns.release(len(slow))
    expect_told(page, "done")


def test_a_run_stops_when_asked(open_page: Callable[..., Page], slow: list[str]) -> None:
    page = open_page()
    page.goto("/channel?q=Slow")
    page.click("text=Test all")
    page.click("#run button:has-text('Stop')")
    expect_told(page, "stopping")
    Vendor.turns.release()
    expect(page.locator("#run progress")).to_have_count(0)
    page.goto("/job")
    expect(page.locator("tbody tr", has_text="stopped").first).to_be_visible()
