"""Every page in both appearances, both languages and two widths: accessible, within its window, silent in the console."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from pages import PAGES, PUBLIC
from playwright.sync_api import Page

LOOKS = [("en", 1440), ("zh_CN", 1440), ("en", 390), ("zh_CN", 390)]
CATALOGUE = Path(__file__).resolve().parents[2] / "oneapi" / "i18n" / "zh_CN.po"


SETTLED = """async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await Promise.allSettled(document.getAnimations().filter((a) => a.effect.getTiming().iterations < 9).map((a) => a.finished));
}"""


def looks(page: Page) -> Iterator[str]:
    """The page in its two appearances. Nothing moves meanwhile: a colour halfway has no contrast to measure."""
    page.emulate_media(reduced_motion="reduce")
    for appearance in ("light", "dark"):
        page.evaluate("look => { document.documentElement.dataset.appearance = look }", appearance)
        page.evaluate(SETTLED)
        yield appearance


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize(("lang", "width"), LOOKS)
def test_every_page_is_accessible_and_fits(lang: str, width: int, part: int, open_page: Callable[..., Page], axe: Any) -> None:
    troubles = []
    for user, paths in (("root", dict(list(PAGES.items())[part::4])), ("", {} if part else PUBLIC)):
        page = open_page(user=user, lang=lang, width=width, height=900)
        for name, path in paths.items():
            page.goto(path)
            for look in looks(page):
                troubles += [f"{name} {look}: {trouble}" for trouble in axe(page)]
            if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
                troubles.append(f"{name}: {wide} px wide")
    assert "\n".join(troubles) == ""


# What opens on a page: (path, what is clicked, what then shows).
OPENED = {
    "menu of the account": ("/dashboard", ".me", "#menu-me"),
    "custom range": ("/dashboard", "[popovertarget=range-custom]", "#range-custom"),
    "notice": ("/dashboard", "[data-notice]", "#notice"),
    "palette": ("/dashboard", ".finder[data-open=palette]", "#found li"),
    "filter": ("/log", "[popovertarget=filter-more]", "#filter-more"),
    "range of logs": ("/log", "[popovertarget=filter-range]", "#filter-range"),
    "columns": ("/log", "[popovertarget=columns-log]", "#columns-log"),
    "menu of a key": ("/token", "[popovertarget^=menu-token]", "[id^=menu-token]:popover-open"),
    "bulk bar": ("/token", "[data-tick-all]", "#bulk"),
    "client": ("/token", "[title='Open in']", "#drawer h2"),
    "model": ("/pricing", ".table .title a", "#drawer h2"),
    "table of a chart": ("/dashboard", "summary", ".chart + details table"),
    "code": ("/playground", "details summary", "[data-panel=curl] pre"),
}


@pytest.mark.parametrize("width", [1440, 390])
def test_what_opens_on_a_page_is_accessible(width: int, open_page: Callable[..., Page], axe: Any) -> None:
    page, troubles = open_page(width=width, height=900), []
    for name, (path, clicked, shown) in OPENED.items():
        page.goto(path)
        if not page.locator(clicked).first.is_visible():
            continue  # a phone has other ways to it
        page.locator(clicked).first.click()
        page.locator(shown).first.wait_for()
        for look in looks(page):
            troubles += [f"{name} {look}: {trouble}" for trouble in axe(page)]
    assert "\n".join(troubles) == ""


def test_dialogs_are_accessible(open_page: Callable[..., Page], axe: Any) -> None:
    page, troubles = open_page(), []
    for path, opens in (("/token", "?"), ("/user/edit", "")):
        page.goto(path)
        page.keyboard.press(opens) if opens else page.click("form[action='/user/access-token'] button")
        page.locator("dialog[open]").wait_for()
        for look in looks(page):
            troubles += [f"{path} {look}: {trouble}" for trouble in axe(page)]
        page.keyboard.press("Escape")
    assert "\n".join(troubles) == ""


# Labels that do not fit where they stand. What may be shortened has the class `cut` and says so with an ellipsis.
CLIPPED = """() => [...document.querySelectorAll(
  'button, a, label, th, summary, legend, h1, h2, h3, dt, dd, small, .badge, .filter, .help, .value, .context, .name, .sub')]
  .filter((el) => el.checkVisibility({ visibilityProperty: true }) && !el.closest('.hidden-words, .skip, .cut') && el.clientWidth
    && !el.querySelector('.cut') && getComputedStyle(el).overflowX !== 'visible' && el.scrollWidth > el.clientWidth + 1)
  .map((el) => el.textContent.trim().slice(0, 60))"""


@pytest.mark.parametrize("lang", ["en", "zh_CN"])
def test_every_page_fits_a_narrow_phone(lang: str, open_page: Callable[..., Page]) -> None:
    troubles = []
    for user, paths in (("root", PAGES), ("", PUBLIC)):
        page = open_page(user=user, lang=lang, width=360, height=740)
        for name, path in paths.items():
            page.goto(path)
            if page.evaluate("document.documentElement.scrollWidth") > 360:
                troubles.append(f"{name} is too wide")
            troubles += [f"{name}: clipped {text}" for text in page.evaluate(CLIPPED)]
    assert troubles == []


# Words on the page and in names of its parts, but for names of languages, programs and monograms.
SAID = """() => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), said = [];
  for (let node; (node = walk.nextNode());) {
    const shown = node.parentElement.checkVisibility() && !node.parentElement.closest('[lang]:not(html), code, pre, .gram');
    if (shown) said.push(node.textContent.trim());
  }
  for (const name of ['aria-label', 'title', 'placeholder'])
    said.push(...[...document.querySelectorAll(`[${name}]`)].map((el) => el.getAttribute(name)));
  return said;
}"""


def test_no_page_speaks_the_other_language(open_page: Callable[..., Page]) -> None:
    with CATALOGUE.open("rb") as file:
        texts = {m.id: m.string for m in read_po(file) if isinstance(m.id, str) and m.id and m.id != m.string}
    foreign = {"en": set(texts.values()) - set(texts), "zh_CN": set(texts) - set(texts.values())}
    found = []
    for lang in ("en", "zh_CN"):
        for user, paths in (("root", PAGES), ("", PUBLIC)):
            page = open_page(user=user, lang=lang)
            for name, path in paths.items():
                page.goto(path)
                found += [f"{name} in {lang}: {text}" for text in sorted(set(page.evaluate(SAID)) & foreign[lang])]
    assert found == []


@pytest.mark.parametrize("path", ["/dashboard", "/channel", "/log"])
def test_a_first_load_is_light(path: str, open_page: Callable[..., Page]) -> None:
    page, sizes = open_page(), []
    page.context.clear_cookies(name="nothing")
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page.goto(path, wait_until="networkidle")
    assert len(sizes) <= 14 and sum(sizes) < 150_000
