"""A request that fails is seen in the log with what was tried, as a person would look for it."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import served as installations
from playwright.sync_api import Page, expect
from test_look import looks


@pytest.fixture
def failed_model(site: installations.Site) -> Iterator[str]:
    """A model whose only channel the vendor refuses; it was asked for once, in vain."""
    body = {"type": 1, "name": "Refused one", "key": "sk-bad", "base_url": site.vendor, "models": "gpt-4-turbo"}
    site.api("POST", "/api/channel/", body | {"group": "default"})
    id = next(row["id"] for row in site.api("GET", "/api/channel/?page_size=100")["data"] if row["name"] == "Refused one")
    chat = json.dumps({"model": "gpt-4-turbo", "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = {"Content-Type": "application/json", "Authorization": f"Bearer {installations.KEY}"}
    with pytest.raises(urllib.error.HTTPError, match="502|503"):
        urllib.request.urlopen(urllib.request.Request(f"{site.url}/v1/chat/completions", chat, head), timeout=20)
    yield "gpt-4-turbo"
    site.api("DELETE", f"/api/channel/{id}")


@pytest.mark.parametrize("width", [1440, 390])
def test_a_failed_request_is_found_with_what_was_tried(
    failed_model: str, width: int, open_page: Callable[..., Page], axe: Any
) -> None:
    page = open_page(width=width)
    page.goto("/log?live=1")  # it may be written a moment after it was answered
    row = page.locator("tr.failed", has_text=failed_model).first
    row.wait_for()
    page.goto("/log")
    expect(page.locator(".histogram .legend")).to_contain_text("Errors")
    page.click("[popovertarget=filter-type]")
    page.click("#filter-type >> text=Error")
    expect(page.locator("tr[id^=log-]:not(.failed)")).to_have_count(0)
    assert "type=6" in page.url
    page.locator("tr.failed", has_text=failed_model).first.locator("td.left a").click()
    detail = page.locator("#detail")
    expect(detail).to_contain_text("The channel's account was refused by the vendor.")
    expect(detail).to_contain_text("vendor_auth_failed")
    expect(detail.locator(".attempts")).to_contain_text("Refused one")
    expect(detail.locator(".attempts")).to_contain_text("401")
    troubles = [f"{look}: {trouble}" for look in looks(page) for trouble in axe(page)]
    assert "\n".join(troubles) == ""


def test_the_overview_tells_how_many_failed(failed_model: str, open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/dashboard?scope=all")
    page.locator(".figure", has_text="Error rate").get_by_role("link").click()
    expect(page.locator("tr.failed").first).to_be_visible()
