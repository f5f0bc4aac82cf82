"""One server and one Chromium for the run; a fresh profile for every test; no console error, no policy report."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import served as installations
from patience import KEEP_TOASTS, PATIENCE, await_scripts
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
# Host names that are no secure context, unlike localhost: what a server on plain http in a network has.
NAMES = "--host-resolver-rules=MAP gateway.test 127.0.0.1, MAP evil.test 127.0.0.1"
FLAGS = ["--no-sandbox", "--font-render-hinting=none", "--disable-quic", NAMES]
# Chromium and htmx print a line for every 4xx of a fragment, the wanted 422 among them, and htmx two for what was still coming
# when somebody left the page (a failure has its own: sendError); these lines alone are excluded.
WANTED = ("status of 422", "status of 404", "Status Error Code 404", "status of 286", "htmx:afterRequest", "htmx:sendAbort")


expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def site() -> Iterator[installations.Site]:
    with installations.served() as made:
        yield made


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser, site: installations.Site) -> Iterator[Callable[..., Page]]:
    """open_page(width=390, appearance="dark", lang="zh_CN", user="root"): a page of a fresh profile, signed in."""
    contexts, complaints = [], []

    def make(
        *,
        user: str = "root",
        width: int = 1440,
        height: int = 900,
        appearance: str = "light",
        lang: str = "en",
        scripts: bool = True,
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height}, java_script_enabled=scripts, base_url=site.url
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        if scripts:
            page.add_init_script(KEEP_TOASTS)
            await_scripts(page)
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") and not wanted(m.text) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if user:
            sign_in(page, user)
        context.add_cookies([{"name": n, "value": v, "url": site.url} for n, v in (("lang", lang), ("appearance", appearance))])
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def wanted(text: str) -> bool:
    return any(mark in text for mark in WANTED)


def sign_in(page: Page, user: str) -> None:
    page.goto("/login")
    page.fill("input[name=username]", user)
    for password in (installations.PASSWORD, "123456"):
        page.fill("input[name=password]", password)
        page.click("form[action='/login'] button[type=submit]")
        page.wait_for_load_state()
        if "/login" not in page.url:
            break
    if page.url.endswith("/password"):
        page.fill("input[name=password]", installations.PASSWORD)
        page.fill("input[name=confirm]", installations.PASSWORD)
        page.click("form[action='/password'] button[type=submit]")
        page.wait_for_load_state()
    assert page.url.endswith("/dashboard"), page.url


@pytest.fixture
def enter() -> Callable[[Page, str], None]:
    """enter(page, "root") signs in at the base address of a page."""
    return sign_in


@pytest.fixture
def axe() -> Callable[[Page], list[dict[str, Any]]]:
    """What axe-core objects to on a page, as (rule, what)."""
    import axe_core_python

    script = next(Path(axe_core_python.__file__).parent.rglob("axe.min.js")).read_text()

    def check(page: Page) -> list[str]:
        if not page.evaluate("'axe' in window"):
            page.evaluate(script)
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        # What a closed disclosure holds is not drawn, so it has no colours yet; tests open it to look at it.
        closed = "details:not([open]) > :not(summary)"
        run = "([tags, closed]) => axe.run({exclude: [[closed]]}, {runOnly: tags, resultTypes: ['violations']})"
        found = page.evaluate(run, [tags, closed])
        if found["violations"]:  # a colour may still have been on its way: what is wrong stays wrong
            page.wait_for_timeout(500)
            found = page.evaluate(run, [tags, closed])
        return [
            f"{v['id']}: {n['html'][:120]} ({n['any'][0]['message'] if n['any'] else ''})"
            for v in found["violations"]
            for n in v["nodes"]
        ]

    return check
