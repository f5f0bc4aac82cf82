"""Prices: ratios and dollars follow each other; a change of many is looked at first."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect


def test_ratio_and_dollars_follow_each_other(open_page: Callable[..., Page], axe: Any) -> None:
    page = open_page()
    page.goto("/price?edit=gpt-4o")
    expect(page.locator("#f-model_ratio-usd")).to_have_attribute("placeholder", "2.5")
    expect(page.locator("#f-completion_ratio-usd")).to_have_attribute("placeholder", "10")
    page.fill("#f-model_ratio-usd", "5")
    expect(page.locator("#f-model_ratio")).to_have_value("2.5")
    expect(page.locator("#f-completion_ratio-usd")).to_have_attribute("placeholder", "20")
    page.fill("#f-completion_ratio-usd", "15")
    expect(page.locator("#f-completion_ratio")).to_have_value("3")
    page.fill("#f-model_ratio", "1")
    expect(page.locator("#f-model_ratio-usd")).to_have_value("2")
    expect(page.locator("#f-completion_ratio-usd")).to_have_value("6")
    assert axe(page) == []
    page.click("#drawer .sheet-foot button.primary")
    expect(page.locator("tr", has_text="gpt-4o").first).to_contain_text("set here")
    page.click("tr a >> text='gpt-4o'")
    page.click("#drawer >> text=Back to built-in")
    expect(page.locator("#drawer")).not_to_be_visible()
    expect(page.locator("#list")).not_to_contain_text("set here")


def test_many_prices_change_after_a_look_at_the_difference(open_page: Callable[..., Page], axe: Any) -> None:
    page = open_page(lang="zh_CN", width=390, height=844)
    page.goto("/price")
    page.click("tbody tr:has-text('gpt-4o-mini') .check")
    page.fill("#bulk input[name=value]", "2")
    page.click("#bulk button[value=multiply]")
    expect(page.locator("#list h2")).to_have_text("1 项数值变化 · 1 个模型")
    assert axe(page) == []
    page.click("text=取消")
    expect(page.locator("tbody tr:has-text('gpt-4o-mini')")).to_contain_text("内置")
