"""Measures the pages in a real Chromium: python -m benchmarks.browser. Needs Debian's chromium and the test parts.

A filled installation is served by `python app.py`; every page is opened in a fresh profile, nothing cached. Printed are the
weight of the page and of everything it loads (compressed), requests, largest paint and layout shift, elements, and then how
long it takes from a click until a toggle, a drawer and the next page are painted; each with its ratio to the budget.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "browser"))

import load  # noqa: E402  (the folder is no package of the repository)
import served as installations  # noqa: E402
from conftest import CHROMIUM, FLAGS, sign_in  # noqa: E402
from pages import PAGES, PUBLIC  # noqa: E402

# KB, KB, requests, ms, ms, shift, elements, ms, ms: section "Pages" of docs/performance.md
HTML, ALL, REQUESTS, COLD, WARM, CLS, NODES, TOGGLE, CHANGE = 12, 100, 12, 450, 300, 0.02, 2500, 100, 150
SCRIPTS = 9 * 1024
LISTS = ("keys", "logs", "channels", "users", "codes", "pricing", "audit", "prices")

# Resolves with the milliseconds from the click on `selector` until what `event` brought is painted.
CLICK = """([selector, event]) => new Promise(done => {
  const target = document.querySelector(selector), start = performance.now();
  const painted = () => requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
  document.addEventListener(event, painted, {once: true});
  target.click();
})"""


def opened(browser: Browser, site: Any, user: str) -> Page:
    context = load.observed(browser.new_context(viewport={"width": 1440, "height": 900}, base_url=site.url))
    page = context.new_page()
    if user:
        sign_in(page, user)
    return page


def first_loads(browser: Browser, site: Any) -> None:
    print(f"{'':20}{'HTML KB':>9}{'own JS KB':>10}{'all KB':>9}{'requests':>9}", end="")
    print(f"{'LCP cold':>9}{'warm':>9}{'shift':>9}{'elements':>9}{'worst':>9}")
    for user, paths in (("root", PAGES), ("", PUBLIC)):
        kept = opened(browser, site, user)
        state = kept.context.storage_state()
        for name, path in paths.items():
            context = load.observed(
                browser.new_context(viewport={"width": 1440, "height": 900}, base_url=site.url, storage_state=state)
            )
            page = context.new_page()
            cold = load.visit(page, path)
            warm = median(load.painted(page, path) for _ in range(3))
            context.close()
            ratios = [cold.all / ALL / 1000, cold.requests / REQUESTS, cold.lcp / COLD, warm / WARM, cold.cls / CLS]
            ratios += [cold.scripts / SCRIPTS, cold.nodes / NODES, cold.html / HTML / 1000 if name in LISTS else 0]
            worst = max(ratios)
            weights = f"{cold.html / 1000:9.1f}{cold.scripts / 1024:10.1f}{cold.all / 1000:9.1f}"
            line = f"{name:20}{weights}{cold.requests:9}{cold.lcp:9.0f}{warm:9.0f}"
            print(f"{line}{cold.cls:9.3f}{cold.nodes:9}{worst:9.2f}{'  OVER' if worst > 1 else ''}", flush=True)
        kept.context.close()


def told(title: str, times: list[float], budget: float) -> None:
    high = sorted(times)[int(len(times) * 0.95)]
    print(f"{title:28} median {median(times):6.1f} ms  p95 {high:6.1f} ms  of budget {median(times) / budget:.2f}")


def interactions(browser: Browser, site: Any, rounds: int) -> None:
    page = opened(browser, site, "root")

    def timed(selector: str, event: str, before: Callable[[], Any] = lambda: None) -> list[float]:
        times = []
        for _ in range(rounds):
            before()
            times.append(page.evaluate(CLICK, [selector, event]))
            page.wait_for_timeout(120)
        return times

    page.goto("/channel")
    told("toggle a channel", timed("#channel-1 .switch", "htmx:afterSettle"), TOGGLE)
    page.goto("/channel")
    told("open a drawer", timed("#channel-1 .title a", "htmx:afterSettle", lambda: page.keyboard.press("Escape")), CHANGE)
    page.goto("/dashboard")
    there = ["/token", "/log", "/channel", "/dashboard"] * rounds
    times = []
    for path in there[:rounds]:
        times.append(page.evaluate(CLICK, [f".rail a[href='{path}']", "htmx:afterSettle"]))
        page.wait_for_timeout(120)
    told("next page", times, CHANGE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    flags = parser.parse_args()
    with installations.served() as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        first_loads(browser, site)
        interactions(browser, site, flags.rounds)
        browser.close()


if __name__ == "__main__":
    main()
