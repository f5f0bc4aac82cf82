"""The stretch of time that a page shows, as its address says: 24h, 7d, 30d, 90d, or from and to."""

from dataclasses import dataclass
from datetime import UTC, datetime

from flask import request
from flask_babel import get_timezone
from flask_babel import lazy_gettext as _

from oneapi import access

HOUR, DAY = 3600, 86400
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
    """The span of this request; a custom one that is no span counts as the default."""
    now = int(access.state().clock())
    zone = get_timezone()
    shift = datetime.fromtimestamp(now, UTC).astimezone(zone).utcoffset()
    offset = int(shift.total_seconds()) if shift else 0
    name = request.values.get("range", default)
    since, until = moment("from"), moment("to")
    if name == "custom" and since and until and since < until:
        return Span(name, max(since, until - longest) if longest else since, until, offset)
    if name == "all" and not longest:
        return Span(name, 0, now + HOUR, offset)
    name = name if name in PRESETS else default
    return Span(name, now - PRESETS[name], now + 60, offset)


def moment(name: str) -> int:
    """A moment in the query: UTC seconds, or what a date-time input sends, in the reader's zone."""
    text = request.values.get(name, "")
    if text.isascii() and text.isdecimal() and len(text) < 12:
        return int(text)
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=get_timezone()).timestamp())
    except ValueError:
        return 0
