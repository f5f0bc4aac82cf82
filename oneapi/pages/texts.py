"""How numbers, money and moments read, in the reader's language and zone. Filters of every template."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_skeleton
from flask import Flask, request
from flask_babel import format_timedelta, get_locale, get_timezone, gettext
from markupsafe import Markup

from oneapi import access
from oneapi.actions import LATEST

DAY = 86400
EARLIEST = -62135596800  # the beginning of the year 1, UTC seconds


def money(quota: float | None, digits: int | None = None) -> str:
    """Quota as money, or as a number where the site says so: $1,204.16, and six decimals under a cent."""
    settings = access.state().settings
    if not settings.display_in_currency_enabled:
        return f"{int(quota or 0):,}"
    return dollars((quota or 0) / settings.quota_per_unit, digits)


def dollars(amount: float, digits: int | None = None) -> str:
    if digits is None:
        digits = 6 if 0 < abs(amount) < 0.01 else 2
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{digits}f}"


def amount(value: float | None, currency: str | None) -> str:
    """A balance at a vendor in its own currency."""
    sign = {"USD": "$", "CNY": "¥", "EUR": "€", "": "$", None: "$"}.get(currency, f"{currency} ")
    return f"{sign}{value or 0:,.2f}"


def number(value: float | None) -> str:
    return f"{int(value or 0):,}"


def short(value: float | None) -> str:
    """A number in at most five characters: 941, 12.8k, 418.6M."""
    value = float(value or 0)
    for limit, letter in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (limit if letter != 'k' else 1e3):.1f}".removesuffix(".0") + letter
    return f"{value:,.0f}"


def duration(milliseconds: float | None) -> str:
    """Milliseconds as people read them: 842 ms, 1.81 s."""
    value = milliseconds or 0
    return f"{value:,.0f} ms" if value < 1000 else f"{value / 1000:,.2f} s"


def pace(milliseconds: float | None) -> str:
    """The class of a latency: good to one second, plain to three, amber to five, red above."""
    value = milliseconds or 0
    return "ok-text" if value <= 1000 else "" if value <= 3000 else "warn-text" if value <= 5000 else "bad-text"


def percent(part: float, whole: float, digits: int = 1) -> str:
    return f"{100 * part / whole:.{digits}f}%" if whole else "–"


def _local(seconds: float) -> datetime:
    """A moment in the reader's zone. What no calendar holds, such as milliseconds, is shown as the first or the last day."""
    try:
        return datetime.fromtimestamp(min(max(seconds, EARLIEST), LATEST), UTC).astimezone(get_timezone() or ZoneInfo("UTC"))
    except (ValueError, OverflowError):  # of a zone east or west of that day
        return datetime.fromtimestamp(min(max(seconds, EARLIEST + DAY), LATEST - DAY), UTC)


def clock(seconds: int | None, pattern: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment in the reader's zone. In a pattern, %D is the day as the reader's language writes it: Nov 3, 11月3日."""
    if not seconds:
        return "–"
    if "%D" in pattern:
        pattern = pattern.replace("%D", format_skeleton("MMMd", _local(seconds), locale=get_locale()))
    return _local(seconds).strftime(pattern)


def stamp(seconds: int | None) -> Markup:
    """A moment as lists show it: the time of today, the day before it for others, all of it in the tooltip."""
    if not seconds:
        return Markup("–")
    whole, today = clock(seconds), clock(int(access.state().clock()), "%Y-%m-%d")
    short = clock(seconds, "%H:%M:%S" if whole.startswith(today) else "%D %H:%M:%S")
    shown = whole if request.cookies.get("times") == "absolute" else short
    return Markup('<time datetime="{}" title="{}" class="digits">{}</time>').format(_local(seconds).isoformat(), whole, shown)


def ago(seconds: int | None, *, never: str | None = None) -> Markup:
    """A moment as a time element: relative or absolute as the reader likes, the other one in its tooltip."""
    if not seconds or seconds < 0:
        return Markup('<span class="muted">{}</span>').format(gettext("never") if never is None else never)
    absolute = clock(seconds)
    words = absolute if request.cookies.get("times") == "absolute" else relative(seconds)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(_local(seconds).isoformat(), absolute, words)


def relative(seconds: int) -> str:
    away = int(min(max(seconds, EARLIEST), LATEST) - access.state().clock())
    if abs(away) < 45:
        return gettext("just now") if away <= 0 else gettext("in a moment")
    return format_timedelta(away, add_direction=True, threshold=1.1)


def moment(seconds: int | None) -> Markup:
    """A moment in full, as a time element."""
    if not seconds:
        return Markup("–")
    return Markup('<time datetime="{}" class="digits">{}</time>').format(_local(seconds).isoformat(), clock(seconds))


def hue(text: str) -> int:
    """One of six hues for a name, always the same one."""
    return sum(ord(c) * (i + 3) for i, c in enumerate(text or "")) % 6 + 1


def gram(text: str) -> str:
    """One or two letters that stand for a name."""
    text = (text or "?").strip()
    if ord(text[0]) > 0x2E80:
        return text[0]
    capitals = [c for c in text if c.isupper()]
    return "".join(capitals[:2]) if len(capitals) > 1 else text[:2].capitalize()


def masked(secret: str | None, head: int = 3, tail: int = 4) -> str:
    secret = secret or ""
    return f"{secret[:head]}…{secret[-tail:]}" if len(secret) > head + tail + 4 else "…" + secret[-2:]


def hash(text: str) -> str:
    """A short digest for addresses that may be kept."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def attributes(values: dict[str, Any]) -> str:
    """JSON for a data attribute."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def init(app: Flask) -> None:
    filters = (
        money,
        dollars,
        amount,
        number,
        short,
        duration,
        pace,
        clock,
        stamp,
        ago,
        relative,
        moment,
        hue,
        gram,
        masked,
        hash,
        attributes,
    )
    app.jinja_env.filters.update({f.__name__: f for f in filters})
    app.jinja_env.globals.update(percent=percent, zone=lambda: str(get_timezone() or "UTC"))
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
