"""The stretch of time that a page shows, as its address says: 24h, 7d, 30d, 90d, or from and to."""

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import abort, request
from flask_babel import get_timezone, gettext
from flask_babel import lazy_gettext as _

from oneapi import access
from oneapi.actions import LATEST
from oneapi.fields import integer

HOUR, DAY = 3600, 86400
LONGEST = 20 * 366 * DAY  # of a custom span: a chart of it has a bar for each week
PRESETS = {"1h": HOUR, "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "90d": 90 * DAY}
WORDS = {
    "1h": _("Last hour"),
    "24h": _("Last 24 hours"),
    "7d": _("Last 7 days"),
    "30d": _("Last 30 days"),
    "90d": _("Last 90 days"),
    "all": _("All time"),
}


@dataclass(frozen=True)
class Span:
    name: str
    since: int
    until: int
    offset: int  # of the reader's clock from UTC, seconds

    @property
    def length(self) -> int:
        return self.until - self.since

    @property
    def key(self) -> tuple[str, int, int, int]:
        """What two asked at different moments have in common when they mean the same stretch."""
        fixed = (self.since, self.until) if self.name == "custom" else (0, 0)
        return (self.name, self.offset, *fixed)

    @property
    def step(self) -> int:
        """The width of a bar: hours to two days, days to ninety, else weeks."""
        return HOUR if self.length <= 2 * DAY else DAY if self.length <= 92 * DAY else 7 * DAY

    @property
    def pattern(self) -> str:
        return "%H:%M" if self.step < DAY else "%D"


def read(default: str = "7d", *, longest: int = 0) -> Span:
    """The span of this request; a custom one without a beginning or an end, or with none between, counts as the default.

    Aborts with 422 when a bound is given that is not a date.
    """
    now = int(access.state().clock())
    zone = get_timezone()
    shift = datetime.fromtimestamp(now, UTC).astimezone(zone).utcoffset()
    offset = int(shift.total_seconds()) if shift else 0
    name = request.values.get("range", default)
    since, until = (_bound(each) for each in ("from", "to")) if name == "custom" else (0, 0)
    if since and until and since < until:
        until = min(until, now + DAY if since < now else since + LONGEST)
        since = max(since, until - LONGEST)
        return Span(name, max(since, until - longest) if longest else since, until, offset)
    if name == "all" and not longest:
        return Span(name, 0, now + HOUR, offset)
    name = name if name in PRESETS else default
    return Span(name, now - PRESETS[name], now + 60, offset)


def moment(name: str) -> int:
    """A moment in a form or query: UTC seconds, or what a date-time input sends, in the reader's zone.

    Returns 0 for what is not a date from 1970 to 9999.
    """
    text = request.values.get(name, "").strip()
    try:
        if text.isascii() and text.isdecimal():
            seconds = integer(text)
        else:
            seconds = int(datetime.fromisoformat(text).replace(tzinfo=get_timezone()).timestamp())
    except (ValueError, OverflowError):
        return 0
    return seconds if 0 < seconds <= LATEST else 0


def _bound(name: str) -> int:
    """A moment of a custom span; aborts with 422 when the text is not a date, as another span would answer another question."""
    found, text = moment(name), request.values.get(name, "").strip()
    if text and not found:
        abort(422, gettext("%(text)s is not a date and a time.", text=text[:40]))
    return found
