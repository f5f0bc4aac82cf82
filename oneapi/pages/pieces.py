"""Small markup that stands many times on a page, as functions: a list of a hundred rows has thousands of them."""

from functools import lru_cache

from flask import Flask
from flask_babel import gettext as _
from markupsafe import Markup, escape

from oneapi.access import csrf_token
from oneapi.pages.assets import asset


@lru_cache(maxsize=2048)
def icon(name: str, style: str = "") -> Markup:
    """A picture of the sprite; `style` are its classes: s, l, xl, spin."""
    return Markup('<svg class="i {}" aria-hidden="true"><use href="{}#{}"/></svg>').format(style, asset("icons.svg"), name)


def csrf() -> Markup:
    """The field that every form carries; the token has nothing to escape."""
    return Markup(f'<input type="hidden" name="csrf_token" value="{csrf_token()}">')


def hx(url: str, target: str = "list", *, push: bool = True) -> Markup:
    """A link that htmx follows into one element, and that works without it."""
    to, keep = escape(url), ' hx-push-url="true"' if push else ""
    return Markup(f'href="{to}" hx-get="{to}" hx-target="#{target}" hx-swap="morph:outerHTML"{keep}')


def drawer(url: str, shown: str = "") -> Markup:
    """A link to a form: the drawer with scripts, its own page without. `shown` is the address of list and form together."""
    to, keep = escape(url), f' hx-push-url="{escape(shown)}"' if shown else ""
    return Markup(f'href="{to}" hx-get="{to}" hx-target="#drawer" hx-swap="innerHTML"{keep}')


def chips(names: list[str]) -> Markup:
    """Names in a row."""
    inside = str(escape("\n".join(names))).replace("\n", '</span><span class="chip plain">')
    return Markup(f'<span class="chip plain">{inside}</span>' if names else "")


def health(ticks: str | None) -> Markup:
    """The last twenty tests, oldest first: 1 for good, 0 for bad."""
    marks = ticks or ""
    counted = {"good": marks.count("1"), "all": len(marks)}
    told = escape(_("%(good)s of the last %(all)s tests succeeded", **counted) if marks else _("not tested yet"))
    return Markup(f'<svg class="health" viewBox="0 0 100 18" role="img" aria-label="{told}">{_bars(marks[-20:])}</svg>')


@lru_cache(maxsize=4096)
def _bars(marks: str) -> str:
    style = {"1": "", "0": ' class="bad"', " ": ' class="none"'}
    where = enumerate(marks.rjust(20))
    return "".join(f'<rect x="{5 * at}" y="0" width="3.2" height="18" rx="1.4"{style[mark]}/>' for at, mark in where)


def init(app: Flask) -> None:
    app.jinja_env.globals.update(hx=hx, pieces={f.__name__: f for f in (icon, csrf, drawer, chips, health)})
