"""What scripts add to the pages of administrators and root."""

import re
from collections.abc import Callable
from typing import Any

from patience import expect_told
from playwright.sync_api import Page, expect


def test_a_change_of_a_balance_says_what_it_comes_to(open_page: Callable[..., Page], axe: Any) -> None:
    page = open_page()
    page.goto("/user")
    page.click("tr:has-text('alice') [popovertarget^=menu-user]")
    page.click("[popover]:popover-open >> text=Adjust balance")
    expect(page.locator("[data-after]")).not_to_be_visible()
    page.fill("#f-quota", "1000000")
    expect(page.locator("[data-after]")).to_contain_text(re.compile(r"from \$10(\.\d+)? to \$12|from \$10\.00 to \$12\.00"))
    page.check("input[value=subtract]", force=True)
    expect(page.locator("[data-after]")).to_contain_text("to $8.00")
    page.wait_for_timeout(300)
    assert axe(page) == []
    page.keyboard.press("Escape")


def test_a_password_is_made_up(open_page: Callable[..., Page]) -> None:
    page = open_page(width=390, height=844)
    page.goto("/user?add=1")
    page.click("text=Generate")
    expect(page.locator("#f-password")).to_have_value(re.compile("^.{16}$"))


def test_switching_off_passwords_asks_first(open_page: Callable[..., Page], axe: Any) -> None:
    page = open_page()
    page.goto("/setting/sign-in")
    page.click("#f-PasswordLoginEnabled")
    page.click("#list button[type=submit]")
    expect(page.locator("#ask p")).to_contain_text("locked out")
    assert axe(page) == []
    page.click("#ask [data-close]")
    page.click("#f-PasswordLoginEnabled")
    page.click("#list button[type=submit]")
    expect_told(page, "saved")


def test_variables_are_sifted_as_one_types(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/system")
    page.fill("[data-sift]", "redis")
    expect(page.locator("#environment tbody tr:visible").first).to_contain_text("REDIS")
    assert page.locator("#environment tbody tr:visible").count() < 6


def test_what_was_typed_before_the_script_came_is_sifted(open_page: Callable[..., Page]) -> None:
    page, late = open_page(), []
    page.route("**/runs.js", lambda route: late.append(route))
    Page.goto(page, "/system")  # does not wait for that script
    page.fill("[data-sift]", "redis")
    while not late:
        page.wait_for_timeout(50)
    late[0].continue_()
    expect(page.locator("#environment tbody tr:visible").first).to_contain_text("REDIS")


def test_codes_are_made_copied_and_printed(open_page: Callable[..., Page], axe: Any) -> None:
    page = open_page()
    page.goto("/redemption?add=1")
    page.fill("#f-name", "printed")
    page.fill("#f-count", "3")
    page.click("#drawer button[type=submit]")
    expect(page.locator("#drawer h2")).to_have_text("3 codes created")
    page.wait_for_timeout(300)
    assert axe(page) == []
    page.click("#drawer >> text=Copy all")
    expect(page.locator("#drawer [data-copy-from] use")).to_have_attribute("href", re.compile("check"))
    assert len(page.evaluate("navigator.clipboard.readText()").split()) == 3
    page.emulate_media(media="print")
    expect(page.locator("#made-codes")).to_be_visible()
    expect(page.locator("#drawer .sheet-foot")).to_be_hidden()
    expect(page.locator("#list")).to_be_hidden()


def test_the_section_of_settings_is_in_view_on_a_phone(open_page: Callable[..., Page]) -> None:
    page = open_page(width=390, height=844)
    page.goto("/setting/turnstile")
    box = page.locator(".sections nav [aria-current]").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= 390
