"""What a visit costs: bytes, requests, elements and shifts of the layout, and when the largest thing stood."""

import gzip
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import BrowserContext, Page

# Set before any script of the page; what it gathers is read by `shown`.
OBSERVE = """
  window.seen = {lcp: 0, cls: 0};
  new PerformanceObserver(list => { for (const e of list.getEntries()) seen.lcp = e.startTime })
    .observe({type: 'largest-contentful-paint', buffered: true});
  new PerformanceObserver(list => { for (const e of list.getEntries()) if (!e.hadRecentInput) seen.cls += e.value })
    .observe({type: 'layout-shift', buffered: true});
"""


@dataclass
class Visit:
    """Bytes as they travel, compressed: those of the page itself, of our own scripts, and all."""

    html: int
    scripts: int
    all: int
    requests: int
    lcp: float  # milliseconds after the address was entered
    cls: float
    nodes: int


def weight(answer: Any) -> int:
    """The bytes of an answer as a proxy would send them: what the app does not compress itself is compressed here."""
    body = answer.body()
    kind = answer.headers.get("content-type", "")
    text = kind.startswith(("text/", "application/json", "image/svg", "application/javascript"))
    level = 9 if "/static/" in answer.url else 6  # static files are kept compressed as well as can be
    return len(gzip.compress(body, level)) if text else len(body)


def own(answer: Any) -> bool:
    """Whether this is a script of ours, not one that is carried along."""
    path = answer.url.split("?")[0]
    return path.endswith(".js") and "/vendor/" not in path


def visit(page: Page, path: str) -> Visit:
    """Open an address and wait until it rests."""
    answers: list[Any] = []

    def note(answer: Any) -> None:
        answers.append(answer)

    page.on("response", note)
    first = page.goto(path, wait_until="load")
    rest(page)
    page.remove_listener("response", note)
    came = [a for a in answers if a.status == 200 and not a.from_service_worker]
    scripts = sum(weight(a) for a in came if own(a))
    seen = page.evaluate("({...seen, nodes: document.getElementsByTagName('*').length})")
    assert first is not None
    return Visit(weight(first), scripts, sum(map(weight, came)), len(answers), seen["lcp"], seen["cls"], seen["nodes"])


def rest(page: Page) -> None:
    """Wait until fonts and what scripts do at once are there."""
    page.wait_for_function("document.fonts.status === 'loaded'")
    page.wait_for_timeout(150)


def painted(page: Page, path: str) -> float:
    """Milliseconds until the largest thing of a page stood."""
    page.goto(path, wait_until="load")
    rest(page)
    return float(page.evaluate("seen.lcp"))


def observed(context: BrowserContext) -> BrowserContext:
    context.add_init_script(OBSERVE)
    return context
