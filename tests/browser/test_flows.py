"""What people do, with scripts and without."""

import re
from collections.abc import Callable

from patience import expect_told
from playwright.sync_api import Page, expect


def test_a_key_is_made_in_the_drawer_and_appears_behind_it(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/token")
    page.click("text=New key")
    expect(page.locator("#drawer h2")).to_have_text("New API key")
    expect(page).to_have_url(re.compile("add=1"))
    page.fill("#f-name", "from the drawer")
    page.click("#drawer button[type=submit]")
    expect(page.locator("#drawer h2")).to_have_text("API key created")
    expect(page.locator("#list")).to_contain_text("from the drawer")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).not_to_be_visible()
    expect(page).not_to_have_url(re.compile("add="))


def test_a_complaint_keeps_the_drawer_open_and_focuses_the_field(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/token?add=1")
    page.click("#drawer button[type=submit]")
    expect(page.locator("#f-name")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#f-name")).to_be_focused()
    expect(page.locator("#drawer")).to_be_visible()


def test_a_channel_is_edited_switched_off_and_on_again(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/channel")
    page.click("#channel-1 .title a")
    page.fill("#f-name", "Renamed")
    page.click("#drawer .sheet-foot button.primary")
    expect(page.locator("#drawer")).not_to_be_visible()
    expect(page.locator("#channel-1")).to_contain_text("Renamed")
    page.click("#channel-1 .switch")
    expect(page.locator("#channel-1")).to_have_class(re.compile("off"))
    page.click("#channel-1 .switch")
    expect(page.locator("#channel-1")).not_to_have_class(re.compile("off"))


def test_a_channel_is_tested_in_its_row(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/channel")
    page.click("#channel-2 [title^='Test']")
    expect_told(page, "answered in")
    expect(page.locator("#channel-2 .health")).to_have_attribute("aria-label", re.compile("1 of the last"))


def test_all_channels_are_tested_with_progress(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/channel")
    page.click("text=Test all")
    expect_told(page, "Test all channels")
    expect_told(page, "done")
    expect(page.locator("#channel-3")).to_contain_text("failed")


def test_a_deleted_channel_comes_back_by_the_toast(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/channel")
    page.click("#channel-3 [popovertarget='menu-channel-3']")
    page.click("#menu-channel-3 .danger")
    expect(page.locator("#channel-3")).to_have_count(0)
    page.click(".toast button:has-text('Undo')")
    expect(page.locator("#channel-3")).to_be_visible()


def test_search_narrows_as_one_types_and_lives_in_the_address(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/channel")
    page.keyboard.press("/")
    page.keyboard.type("deepseek")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=deepseek"))
    expect(page.locator(".toolbar input[type=search]")).to_be_focused()
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_rows_are_ticked_and_changed_together(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/channel")
    page.click("[data-tick-all]")
    expect(page.locator("#bulk")).to_be_visible()
    page.click("#bulk [popovertarget=bulk-more]")
    page.fill("#f-bulk-value", "together")
    page.select_option("#f-bulk-what", "tag")
    page.click("#bulk-more button")
    expect(page.locator("#channel-2")).to_contain_text("together")


def test_back_closes_the_entry_and_then_leaves(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/dashboard")
    page.click(".rail a[href='/log']")
    expect(page.locator("h1")).to_have_text("Logs")
    expect(page.locator(".rail a[href='/log']")).to_have_attribute("aria-current", "page")
    page.click("tr[id^=log-] >> nth=0")
    expect(page.locator("#detail")).to_be_visible()
    page.go_back()
    expect(page.locator("#detail")).to_have_count(0)
    page.go_back()
    expect(page.locator("h1")).to_have_text("Overview")
    expect(page.locator(".rail .nav a[href='/dashboard']")).to_have_attribute("aria-current", "page")


def test_the_palette_opens_finds_and_goes(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/dashboard")
    page.keyboard.press("Control+k")
    page.keyboard.type("redemp")
    expect(page.locator("#found a.on")).to_contain_text("Redemption codes")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Redemption codes")


def test_keys_move_and_go(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/channel")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#bulk")).to_be_visible()
    page.keyboard.press("g")
    page.keyboard.press("w")
    expect(page.locator("h1")).to_have_text("Wallet")


def test_keys_that_are_quicker_than_their_module_keep_their_order(open_page: Callable[..., Page]) -> None:
    page, late = open_page(), []
    page.route("**/keys.js", lambda route: late.append(route))
    page.goto("/channel")
    for key in ("j", "j", "x"):
        page.keyboard.press(key)
    while not late:
        page.wait_for_timeout(50)
    late[0].continue_()
    expect(page.locator("tbody tr.current .check")).to_be_checked()
    expect(page.locator("tbody tr >> nth=1")).to_have_class(re.compile("current"))


def test_appearance_changes_at_once_and_stays(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/dashboard")
    page.click("[popovertarget=menu-me]")
    page.click("#menu-me [data-appearance-set=dark]")
    expect(page.locator("html")).to_have_attribute("data-appearance", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-appearance", "dark")


def test_a_model_answers_in_the_playground(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/playground")
    page.fill(".compose textarea", "hi")
    page.click(".compose button:has-text('Send')")
    expect(page.locator(".turns")).to_contain_text("Hello from the vendor.")


def test_what_matters_works_without_scripts(open_page: Callable[..., Page]) -> None:
    page = open_page(scripts=False, user="alice")
    page.goto("/token/add")
    page.fill("#f-name", "no scripts")
    page.click("form.sheet button[type=submit]")
    expect(page.locator("main")).to_contain_text("sk-")
    page.goto("/token?q=no+scripts")
    expect(page.locator("table")).to_contain_text("no scripts")
    page.goto("/token?status=2")
    expect(page.locator("main")).to_contain_text("No key matches")
    page.goto("/topup")
    page.fill("#f-key", "nonsense")
    page.click("form[action='/topup'] button[type=submit]")
    expect(page.locator("#f-key")).to_have_attribute("aria-invalid", "true")


def test_administrators_work_without_scripts(open_page: Callable[..., Page]) -> None:
    page = open_page(scripts=False)
    page.goto("/channel/add?type=1")
    page.fill("#f-name", "plain channel")
    page.fill("#f-key", "sk-plain")
    page.fill("#f-models", "gpt-4o")
    page.click("form.sheet button.primary")
    expect(page.locator("table")).to_contain_text("plain channel")
    page.goto("/setting/general")
    page.fill("#f-SystemName", "Renamed site")
    page.click("button:has-text('Save')")
    expect(page.locator(".rail")).to_contain_text("Renamed site")
