"""What people do every day, in the browser: watch requests, narrow lists, manage keys in bulk, talk with pictures."""

import base64
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect
from served import KEY

PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def ask(site: Any) -> None:
    site.api("POST", "/v1/chat/completions", CHAT, Authorization=f"Bearer {KEY}")


def test_live_rows_come_by_themselves_and_wait_for_a_reader(open_page: Callable[..., Page], site: Any) -> None:
    page = open_page(height=500)
    page.goto("/log?live=1")
    before = page.locator("tbody tr[data-row]").count()
    ask(site)
    expect(page.locator("tbody tr[data-row]")).to_have_count(before + 1)
    page.evaluate("scrollTo(0, 400)")
    ask(site)
    expect(page.locator("[data-fresh]")).to_have_text("1 new")
    assert page.locator("tbody tr[data-row]").count() == before + 1
    page.click("[data-fresh]")
    expect(page.locator("tbody tr[data-row]")).to_have_count(before + 2)


def test_columns_are_chosen_and_remembered(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/log")
    page.click("[popovertarget=columns-log]")
    page.uncheck("[data-column][value=cached]")
    expect(page.locator("th[data-c=cached]")).to_be_hidden()
    page.reload()
    expect(page.locator("th[data-c=cached]")).to_be_hidden()
    expect(page.locator("th[data-c=user]")).to_be_visible()


def test_a_filter_is_set_shown_and_taken_off_alone(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/log?type=2")
    page.click("[popovertarget=filter-more]")
    page.click("#filter-more >> text=Not streamed")
    expect(page.locator(".filter.set", has_text="Stream")).to_be_visible()
    expect(page).to_have_url(re.compile("type=2.*stream=0|stream=0.*type=2"))
    page.click("[aria-label='Remove the filter Stream']")
    expect(page.locator(".filter.set", has_text="Stream")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("stream"))
    expect(page).to_have_url(re.compile("type=2"))


def test_a_stretch_of_time_is_dragged_or_typed(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/log?range=1h")
    box = page.locator("[data-histogram]").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 20, steps=4)
    page.mouse.up()
    page.wait_for_url("**range=custom**")
    page.click("[popovertarget=filter-range]")
    page.fill("#filter-range [name=from]", "2026-01-01T00:00")
    page.click("#filter-range >> text=Show")
    expect(page.locator("[popovertarget=filter-range] b")).to_contain_text("Jan 1")


def test_j_and_k_walk_through_open_entries(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/log")
    ids = page.locator("tbody tr[data-row]").evaluate_all("rows => rows.map(row => row.id)")
    page.locator("tbody tr[data-row]").first.click()
    expect(page.locator("tbody tr.selected")).to_have_id(ids[0])
    for step, key in ((1, "j"), (2, "j"), (1, "k")):
        page.keyboard.press(key)
        expect(page.locator("tbody tr.selected")).to_have_id(ids[step])
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_have_count(0)


def test_several_keys_get_models_together(open_page: Callable[..., Page], site: Any) -> None:
    for name in ("bulk-a", "bulk-b"):
        site.api("POST", "/api/token/", {"name": name, "unlimited_quota": True, "expired_time": -1})
    page = open_page()
    page.goto("/token?q=bulk-")
    page.check("[data-tick-all]")
    page.click("[popovertarget=bulk-models]")
    page.fill("#f-bulk-models-input", "gpt-4o")
    page.keyboard.press("Enter")
    page.click("#bulk-models >> text=Set models")
    expect(page.locator("tbody .link")).to_have_text(["1", "1"])


def test_a_disabled_key_is_enabled_again_by_the_toast(open_page: Callable[..., Page], site: Any) -> None:
    site.api("POST", "/api/token/", {"name": "undoable", "unlimited_quota": True, "expired_time": -1})
    page = open_page()
    page.goto("/token?q=undoable")
    page.locator("tbody .switch").click()
    expect(page.locator("tbody")).to_contain_text("Disabled")
    page.locator(".toast").get_by_role("button", name="Undo").click()
    expect(page.locator("tbody .switch")).to_be_checked()


def test_a_key_is_taken_to_a_client_from_the_overview(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/dashboard")
    page.click("text=Use in a client")
    drawer = page.locator("#drawer")
    expect(drawer).to_contain_text("NextChat")
    drawer.locator("[data-tab=Python]").click()
    expect(drawer.locator("[data-panel=Python]")).to_contain_text("from openai import OpenAI")
    expect(drawer.locator("a[href^='opencat://team/join?domain=']")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


def test_the_palette_acts_and_remembers(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/token")
    page.keyboard.press("Control+k")
    page.fill("#palette input", "dark")
    page.locator("#found a", has_text="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-appearance", "dark")
    page.keyboard.press("Control+k")
    page.fill("#palette input", "wallet")
    page.locator("#found a", has_text="Wallet").click()
    page.wait_for_url("**/topup")
    page.keyboard.press("Control+k")
    expect(page.locator("#found li").first).to_have_text("Wallet")
    page.fill("#palette input", "中文")
    page.locator("#found a", has_text="中文").click()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")


def test_a_picture_travels_with_the_question(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/playground?model=gpt-4o")
    page.set_input_files("[data-attach]", {"name": "dot.png", "mimeType": "image/png", "buffer": PIXEL})
    expect(page.locator("[data-pictures] img")).to_have_count(1)
    page.fill("[name=ask]", "What is this?")
    with page.expect_request("**/v1/chat/completions") as sent:
        page.keyboard.press("Enter")
    parts = sent.value.post_data_json["messages"][-1]["content"]
    assert parts[0] == {"type": "text", "text": "What is this?"}
    assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,")
    expect(page.locator(".turn .said").last).to_have_text("Hello from the vendor.")
    expect(page.locator(".turn .pictures img")).to_have_count(1)
    expect(page.locator("[data-pictures] img")).to_have_count(0)


def test_the_playground_answers_without_a_key_of_ones_own(open_page: Callable[..., Page]) -> None:
    page = open_page(lang="zh_CN")
    page.goto("/playground?model=gpt-4o")
    page.select_option("#f-key", "")
    page.fill("[name=ask]", "hi")
    page.keyboard.press("Enter")
    expect(page.locator(".turn .said").last).to_have_text("Hello from the vendor.")
    expect(page.locator(".turn .about a").last).to_contain_text("日志")
    page.goto("/token?q=playground")
    expect(page.locator("#list tbody tr")).to_have_count(1)


def test_an_act_that_fails_leaves_the_page_and_names_the_request(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/token")
    page.evaluate("htmx.ajax('POST', '/token/999999/delete', { swap: 'none' })")
    toast = page.locator(".toast.bad")
    expect(toast).to_contain_text("Not found")
    assert len(toast.locator("code").inner_text()) > 20
    expect(page.locator("h1")).to_have_text("API keys")
    toast.get_by_role("button", name="Dismiss").click()
    expect(toast).to_have_count(0)


def test_a_deleted_person_comes_back_from_the_toast(open_page: Callable[..., Page], site: Any) -> None:
    site.api("POST", "/api/user/", {"username": "shortlived", "password": "long enough"})
    page = open_page()
    page.goto("/user?q=shortlived")
    expect(page.locator("#list tbody tr[id]")).to_have_count(1)
    page.click("[aria-label='More for shortlived']")
    page.click("[popover]:popover-open >> text=Delete")
    expect(page.locator(".toast")).to_contain_text("shortlived deleted")
    expect(page.locator("#list tbody tr[id]")).to_have_count(0)
    page.click(".toast >> text=Undo")
    expect(page.locator("#list tbody tr[id]")).to_have_count(1)
    expect(page.locator(".toast").last).to_contain_text("Restored")
