"""Waiting for what a person would wait for."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

PATIENCE = 30_000  # ms; a machine that does ten things at once is slow, not wrong

# A toast is there for a few seconds; what it said is kept for who looks later.
KEEP_TOASTS = """
  window.told = [];
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes)
      if (node.matches?.(".toast")) told.push(node.textContent);
  }).observe(document, { childList: true, subtree: true });
"""


def expect_told(page: Page, text: str) -> None:
    """Some toast of this page has said it."""
    page.wait_for_function("text => told.some((said) => said.includes(text))", arg=text)


def await_scripts(page: Page) -> None:
    """Make visits wait for the parts of the script that come after the page, as their events would be missed before."""

    def waiting(visit: Callable[..., Any]) -> Callable[..., Any]:
        def visited(*where: Any, **how: Any) -> Any:
            answer = visit(*where, **how)
            if page.locator("script[src$='/app.js']").count():
                page.wait_for_selector("html[data-ready]", state="attached")
            return answer

        return visited

    for name in ("goto", "reload"):
        setattr(page, name, waiting(getattr(page, name)))
