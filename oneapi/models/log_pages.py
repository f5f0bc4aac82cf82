"""Logs as the API lists them: numbered pages, totals and searches, within a bounded time however many logs there are."""

from dataclasses import dataclass, replace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from oneapi.models.log import COUNTED, Log
from oneapi.models.log_list import LogFilter, Stretch, logs, pieces

ALL = 10**12  # entries that may be looked at: the time decides
SECONDS = 0.2


@dataclass(slots=True)
class Page:
    """Rows of a list, newest first.

    `total` counts at most COUNTED. Where time was up, `before` is the id before which the list goes on, and `looked` the id of
    the oldest entry that was looked at; both are 0 in a list that is complete.
    """

    rows: list[Log]
    total: int = 0
    before: int = 0
    looked: int = 0


def page(
    session: Session, wanted: LogFilter, *, offset: int = 0, limit: int = 10, before: int = 0, seconds: float = SECONDS
) -> Page:
    """Return a page of the logs before an id, and the total of all that pass, as far as a number of seconds goes."""
    if wanted == LogFilter():
        newest = logs(session, wanted, before=before, limit=limit, offset=offset)
        return Page(newest, _counted(session, wanted, Stretch(), COUNTED))
    found = _found(session, wanted, offset, limit, before, seconds * 0.6)
    found.total, floor = _total(session, wanted, seconds * 0.4)
    if floor and not found.before and len(found.rows) >= limit:  # the page is whole, its total is not
        found.before, found.looked = found.rows[-1].id, floor
    return found


def _found(session: Session, wanted: LogFilter, offset: int, limit: int, before: int, seconds: float) -> Page:
    rows: list[Log] = []
    for piece in pieces(session, wanted, before=before, deep=ALL, seconds=seconds):
        if offset and (passing := _counted(session, wanted, piece, offset + 1)) <= offset:
            offset -= passing
        else:
            rows += logs(session, wanted, among=piece, offset=offset, limit=limit - len(rows))
            offset = 0
        if len(rows) >= limit:
            return Page(rows)
    return Page(rows, before=piece.low + 1, looked=piece.low + 1) if piece.more else Page(rows)


def _total(session: Session, wanted: LogFilter, seconds: float) -> tuple[int, int]:
    """Return how many logs pass, and the id of the oldest that was looked at when time was up, else 0."""
    total = 0
    for piece in pieces(session, wanted, deep=ALL, seconds=seconds):
        total += _counted(session, wanted, piece, COUNTED - total)
        if total >= COUNTED:
            return COUNTED, 0
    return total, piece.low + 1 if piece.more else 0


def _counted(session: Session, wanted: LogFilter, among: Stretch, most: int) -> int:
    passing = select(Log.id).where(*wanted.conditions(), *among.conditions()).limit(most).subquery()
    return session.scalar(select(func.count()).select_from(passing)) or 0


def search(
    session: Session, keyword: str, *, user_id: int = 0, limit: int = 100, before: int = 0, seconds: float = SECONDS
) -> Page:
    """Return the newest logs of a type, or, unless they are somebody's own, whose content begins with the keyword."""
    kind = int(keyword) if keyword.isdecimal() and len(keyword) < 10 else 0
    if user_id and not kind:
        return Page([])
    wanted = LogFilter(user_id=user_id, type=kind) if user_id else replace(LogFilter(), keyword=keyword)
    return _found(session, wanted, 0, limit, before, seconds)
