"""The address is the state: Back, reload and a link that is passed on keep filters, page and the open form."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect


@dataclass
class Case:
    path: str
    wish: str  # what is typed into the search box
    filter: str  # id of a filter's menu
    choice: str  # what is chosen there
    argument: str  # what the address says of it
    opener: str  # opens a form or an entry
    inside: str  # what is open then
    named: str  # what the address says of it


LISTS = {
    "channels": Case("/channel", "deepseek", "filter-tag", "prod", "tag=prod", "tbody .title a", "#drawer h2", "edit="),
    "users": Case("/user", "ali", "filter-role", "User", "role=1", "tbody .title a", "#drawer h2", "edit="),
    "keys": Case("/token", "prod", "filter-status", "Enabled", "status=1", "tbody .title a", "#drawer h2", "edit="),
    "logs": Case("/log", "gpt-4o-mini", "filter-type", "Usage", "type=2", "tr[id^=log-]", "#detail h2", "id="),
}


def rows(page: Page) -> list[str]:
    """Ids of the rows once nothing more is under way."""
    expect(page.locator(".htmx-request, .htmx-swapping, .htmx-settling")).to_have_count(0)
    return list(page.locator("#list tbody tr[id]").evaluate_all("rows => rows.map(row => row.id)"))


def expect_rows(page: Page, ids: list[str]) -> None:
    expect(page.locator("#list tbody tr[id]")).to_have_count(len(ids))
    for row, id in zip(page.locator("#list tbody tr[id]").all(), ids, strict=True):
        expect(row).to_have_id(id)


def narrowed(page: Page, case: Case) -> list[str]:
    """Search, then choose from a filter's menu; what is left."""
    page.goto(case.path)
    page.fill(".toolbar input[type=search]", case.wish)
    expect(page).to_have_url(re.compile("q="))
    page.click(f"[popovertarget={case.filter}]")
    page.click(f"#{case.filter} a:has-text('{case.choice}') >> nth=0")
    expect(page).to_have_url(re.compile(case.argument))
    expect(page).to_have_url(re.compile("q="))
    left = rows(page)
    assert left
    return left


@pytest.mark.parametrize("case", LISTS.values(), ids=LISTS)
def test_a_link_that_is_passed_on_shows_the_same(case: Case, open_page: Callable[..., Page]) -> None:
    page = open_page()
    left = narrowed(page, case)
    page.click(f"#list {case.opener} >> nth=0")
    expect(page.locator(case.inside).first).to_be_visible()
    expect(page).to_have_url(re.compile(case.named))
    for known in ("q=", case.argument):
        assert known in page.url
    title = page.locator(case.inside).first.inner_text()
    other = open_page()
    for shown in (other.goto, lambda _url: page.reload()):
        shown(page.url)
    for one in (page, other):
        expect(one.locator(case.inside).first).to_have_text(title)
        expect_rows(one, left)
        expect(one.locator(".toolbar input[type=search]")).to_have_value(case.wish)


@pytest.mark.parametrize("case", LISTS.values(), ids=LISTS)
def test_back_goes_the_way_one_came(case: Case, open_page: Callable[..., Page]) -> None:
    page = open_page()
    left = narrowed(page, case)
    page.click(f"#list {case.opener} >> nth=0")
    expect(page.locator(case.inside).first).to_be_visible()
    page.go_back()
    expect(page.locator(case.inside)).to_have_count(0)
    expect(page).to_have_url(re.compile(case.argument))
    assert case.named not in page.url.replace(case.argument, "")
    expect_rows(page, left)
    page.go_back()
    expect(page).not_to_have_url(re.compile(case.argument))
    expect(page.locator(".toolbar input[type=search]")).to_have_value(case.wish)
    page.go_forward()
    expect(page).to_have_url(re.compile(case.argument))
    expect_rows(page, left)


@pytest.mark.parametrize("name", ["channels", "users", "keys"])
def test_closing_the_form_leaves_the_list_as_it_was(name: str, open_page: Callable[..., Page]) -> None:
    case, page = LISTS[name], open_page()
    left = narrowed(page, case)
    page.click(f"#list {case.opener} >> nth=0")
    expect(page.locator(case.inside).first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).not_to_be_visible()
    expect(page).not_to_have_url(re.compile("edit="))
    assert case.argument in page.url
    expect_rows(page, left)


def test_the_page_of_a_list_is_in_its_address(open_page: Callable[..., Page], site: Any) -> None:
    for number in range(30):
        site.api("POST", "/api/token/", {"name": f"many-{number:02}", "unlimited_quota": True, "expired_time": -1})
    page = open_page()
    page.goto("/token?q=many-&sort=name")
    first = rows(page)
    page.click(".pager a[rel=next], .pager a:has-text('Next') >> nth=0")
    expect(page).to_have_url(re.compile("page=2"))
    second = rows(page)
    assert second and not set(first) & set(second)
    page.click("#list tbody .title a >> nth=0")
    expect(page.locator("#drawer h2")).to_be_visible()
    for known in ("page=2", "sort=name", "q=many", "edit="):
        assert known in page.url
    page.reload()
    expect(page.locator("#drawer h2")).to_be_visible()
    expect_rows(page, second)
    page.go_back()
    expect(page.locator("#drawer")).not_to_be_visible()
    expect_rows(page, second)
    page.go_back()
    expect(page).not_to_have_url(re.compile("page=2"))
    expect(page.locator(f"#{first[0]}")).to_be_visible()
    expect_rows(page, first)
