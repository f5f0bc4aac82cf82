"""What administrators do with channels that only scripts can do."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect


@pytest.fixture
def scratch(site: Any) -> Any:
    """A channel for one test, which may do with it what it likes; its id."""
    body = {"type": 1, "name": "Scratch", "key": "sk-good", "base_url": site.vendor, "models": "gpt-4o,gpt-4o-mini,bad-one"}
    site.api("POST", "/api/channel/", body)
    id = max(row["id"] for row in site.api("GET", "/api/channel/search?keyword=Scratch")["data"])
    yield id
    site.api("DELETE", f"/api/channel/{id}")


def test_a_provider_is_searched_in_either_language(open_page: Callable[..., Page], axe: Any) -> None:
    page = open_page(lang="zh_CN")
    page.goto("/channel?add=1")
    page.click(".picker")
    page.keyboard.type("bailian")
    expect(page.locator(".pick button:visible")).to_have_text(["阿里云百炼"])
    assert axe(page) == []
    page.keyboard.press("Enter")
    expect(page.locator(".picker")).to_have_text("阿里云百炼")
    expect(page.locator("#f-base_url")).to_have_attribute("placeholder", re.compile("dashscope"))


def test_a_mapping_is_written_in_rows_or_as_json(open_page: Callable[..., Page], scratch: int) -> None:
    page = open_page()
    page.goto(f"/channel?edit={scratch}")
    page.locator("#f-model_mapping").scroll_into_view_if_needed()  # its rows come when it is near
    page.fill(".pair >> nth=0 >> input >> nth=0", "gpt-4o")
    page.fill(".pair >> nth=0 >> input >> nth=1", "gpt-4.1")
    page.click("text=Add a row")
    page.keyboard.type("mini*")
    page.fill(".pair >> nth=1 >> input >> nth=1", "gpt-4o-mini")
    page.click("text=As JSON")
    assert json.loads(page.input_value("#f-model_mapping")) == {"gpt-4o": "gpt-4.1", "mini*": "gpt-4o-mini"}
    page.fill("#f-model_mapping", '{"a": "b",}')
    page.locator("#f-model_mapping").blur()
    expect(page.locator("#f-model_mapping-said")).to_contain_text("remove the comma")
    expect(page.locator("#f-model_mapping")).to_be_visible()
    page.fill("#f-model_mapping", '{"a": "b"}')
    page.locator("#f-model_mapping").blur()
    expect(page.locator(".pair")).to_have_count(1)
    page.click("#drawer .sheet-foot button.primary")
    expect(page.locator("#drawer")).not_to_be_visible()
    page.goto(f"/channel?edit={scratch}")
    page.locator("#f-model_mapping").scroll_into_view_if_needed()
    expect(page.locator(".pair input >> nth=1")).to_have_value("b")
    expect(page.locator("[data-unsaved]")).to_have_text("")


def test_the_mapping_keeps_who_came_to_it_by_keyboard(open_page: Callable[..., Page], scratch: int) -> None:
    page = open_page()
    page.goto(f"/channel?edit={scratch}")
    page.focus("#f-model_mapping")
    expect(page.locator(".pair >> nth=0 >> input >> nth=0")).to_be_focused()


def test_save_and_test_stays_and_says_how_it_went(open_page: Callable[..., Page], scratch: int, axe: Any) -> None:
    page = open_page()
    page.goto("/channel?add=1")
    page.fill("#f-name", "Brand new")
    page.fill("#f-key", "sk-bad")
    page.click("#drawer button[value=test]")  # no models yet: complaints first
    expect(page.locator("#f-models-said")).to_be_visible()
    page.fill("#f-models-input", "gpt-4o\n")
    page.keyboard.press("Enter")
    page.fill("#f-base_url", page.evaluate("location.origin"))
    page.click("#drawer button[value=test]")
    expect(page.locator(".outcome.bad-text")).to_contain_text("gpt-4o failed")
    expect(page).to_have_url(re.compile(r"edit=\d+"))
    expect(page.locator("#list")).to_contain_text("Brand new")
    page.wait_for_timeout(300)
    assert axe(page) == []
    page.click("#drawer [data-close] >> text=Close")
    expect(page.locator("#drawer")).not_to_be_visible()
    page.click("tr:has-text('Brand new') [popovertarget^=menu-channel]")
    page.click("[popover]:popover-open .danger")
    expect(page.locator("tr", has_text="Brand new")).to_have_count(0)


def test_models_are_tested_in_a_row_and_failed_ones_removed(open_page: Callable[..., Page], scratch: int, axe: Any) -> None:
    page = open_page()
    page.goto("/channel")
    page.click(f"[popovertarget=menu-channel-{scratch}]")
    page.click(f"#menu-channel-{scratch} >> text=Test models")
    expect(page).to_have_url(re.compile(f"tests={scratch}"))
    page.click("[data-test-all]")
    expect(page.locator("[data-tally]")).to_have_text("3 good · 0 failed")
    page.select_option("[name=kind]", "embeddings")
    page.fill("[data-sift]", "bad-one")
    expect(page.locator("#model-tests li:visible")).to_have_count(1)
    page.click("[data-test-all]")
    page.fill("[data-sift]", "")
    expect(page.locator("[data-tally]")).to_have_text("2 good · 1 failed")
    page.click("text=Select failed")
    expect(page.locator("[data-test-all]")).to_contain_text("Test 1")
    assert axe(page) == []
    page.click("[data-prune]")
    expect(page.locator("#model-tests li")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("tests="))
    expect(page.locator(f"#channel-{scratch} [popovertarget=models-{scratch}]")).to_have_text("2")


def test_a_switch_is_taken_back_by_the_toast(open_page: Callable[..., Page], scratch: int) -> None:
    page = open_page()
    page.goto("/channel")
    page.click(f"#channel-{scratch} .switch")
    expect(page.locator(f"#channel-{scratch}")).to_have_class(re.compile("off"))
    page.click(".toast button:has-text('Undo')")
    expect(page.locator(f"#channel-{scratch}")).not_to_have_class(re.compile("off"))


def test_columns_are_chosen_and_stay_chosen(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.goto("/channel")
    page.click("[popovertarget=columns-channel]")
    page.click("#columns-channel >> text=Weight")
    expect(page.locator("th[data-c=weight]")).not_to_be_visible()
    page.reload()
    expect(page.locator("th[data-c=weight]")).not_to_be_visible()
    expect(page.locator("th[data-c=priority]")).to_be_visible()


def test_a_great_deletion_wants_its_number_typed(open_page: Callable[..., Page], site: Any, axe: Any) -> None:
    keys = "\n".join(f"sk-many-{n}" for n in range(22))
    site.api("POST", "/api/channel/", {"type": 1, "name": "Many", "key": keys, "base_url": site.vendor, "models": "gpt-4o"})
    page = open_page()
    page.goto("/channel?q=Many")
    page.click("[data-tick-all]")
    page.click("#bulk .danger")
    expect(page.locator("#ask p")).to_have_text("22 channels will be deleted.")
    expect(page.locator("#ask [data-yes]")).to_be_disabled()
    assert axe(page) == []
    page.fill("#ask input", "22")
    page.click("#ask [data-yes]")
    expect(page.locator("#list")).to_contain_text("No channel matches")
