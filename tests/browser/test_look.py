"""Every page in both appearances, both languages and two widths: accessible, within its window, silent in the console."""

from collections.abc import Callable
from typing import Any

import pytest
from pages import PAGES, PUBLIC
from playwright.sync_api import Page

LOOKS = [("light", "en", 1440), ("dark", "zh_CN", 390), ("dark", "en", 1440), ("light", "zh_CN", 390)]


@pytest.mark.parametrize(("appearance", "lang", "width"), LOOKS)
def test_every_page_is_accessible_and_fits(
    appearance: str, lang: str, width: int, open_page: Callable[..., Page], axe: Any
) -> None:
    troubles = []
    for user, paths in (("root", PAGES), ("", PUBLIC)):
        page = open_page(user=user, appearance=appearance, lang=lang, width=width, height=900)
        for name, path in paths.items():
            page.goto(path)
            page.wait_for_timeout(150)  # for the drawer's movement: a colour halfway has no contrast to measure
            troubles += [f"{name}: {trouble}" for trouble in axe(page)]
            if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
                troubles.append(f"{name}: {wide} px wide")
    assert "\n".join(troubles) == ""


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_every_page_fits_a_narrow_phone(lang: str, open_page: Callable[..., Page]) -> None:
    page = open_page(lang=lang, width=360, height=740)
    too_wide = []
    for name, path in PAGES.items():
        page.goto(path)
        if page.evaluate("document.documentElement.scrollWidth") > 360:
            too_wide.append(name)
    assert too_wide == []


@pytest.mark.parametrize("path", ["/dashboard", "/channel", "/log"])
def test_a_first_load_is_light(path: str, open_page: Callable[..., Page]) -> None:
    page, sizes = open_page(), []
    page.context.clear_cookies(name="nothing")
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page.goto(path, wait_until="networkidle")
    assert len(sizes) <= 14 and sum(sizes) < 150_000
