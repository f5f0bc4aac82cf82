"""What happens while people type: previews, checks, and not losing it."""

from collections.abc import Callable

from playwright.sync_api import Page, expect


def test_a_text_is_previewed_beside_where_it_is_typed(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/setting/content")
    page.fill("#f-About", "**bold** <script>alert(1)</script>")
    expect(page.locator("#preview-About strong")).to_have_text("bold")
    expect(page.locator("#preview-About")).not_to_contain_text("alert")
    expect(page.locator("#preview-Footer")).not_to_contain_text("bold")


def test_what_was_typed_is_not_lost_by_a_click_beside_it(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/setting/content")
    page.fill("#f-About", "half a sentence")
    page.click(".rail a[href='/token']")
    expect(page.locator("#ask")).to_be_visible()
    page.click("#ask [data-close]")
    expect(page.locator("#f-About")).to_have_value("half a sentence")
    page.click(".rail a[href='/token']")
    page.click("#ask [data-yes]")
    expect(page.locator("h1")).to_have_text("API keys")


def test_a_taken_user_name_is_noticed_at_once(open_page: Callable[..., Page]) -> None:
    page = open_page(user="")
    page.goto("/register")
    page.fill("#f-username", "root")
    page.keyboard.press("Tab")
    expect(page.locator("#taken")).to_have_text("This user name is taken.")
