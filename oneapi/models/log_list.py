"""Logs as their page shows them: filtered, paged by key, one of them in full."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, ScalarSelect, Select, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session

from oneapi.models.base import Missing
from oneapi.models.lists import begins
from oneapi.models.log import Kind, Log

DEEP = 20_000  # entries of the key that one page looks at; filters without an index could else read millions
SLACK = 3600  # seconds by which an entry may have been written later than its time says


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What the list of logs is limited to; empty values limit nothing."""

    since: int = 0
    until: int = 0
    user_id: int = 0
    q: str = ""
    keyword: str = ""  # a type, or how the content begins
    type: int = 0
    model: str = ""
    token: str = ""
    username: str = ""
    channel: int = 0
    stream: str = ""
    min_quota: int = 0
    min_ms: int = 0
    errors: bool = False

    @property
    def key(self) -> ColumnElement[bool] | None:
        """The one condition by whose index entries are found."""
        if self.model and self.username and not self.user_id:
            return and_(Log.model_name == self.model, Log.username == self.username)
        keys = ((Log.user_id, self.user_id), (Log.token_name, self.token), (Log.channel_id, self.channel),
                (Log.model_name, self.model))  # fmt: skip
        return next((column == value for column, value in keys if value), None)

    def conditions(self) -> list[ColumnElement[bool]]:
        """All conditions. Those beside the key are written so that no planner takes another index than that of key or id."""
        exact = ((Log.user_id, self.user_id), (Log.type, self.type), (Log.model_name, self.model), (Log.token_name, self.token),
                 (Log.username, self.username), (Log.channel_id, self.channel))  # fmt: skip
        wanted = [func.coalesce(column, type(value)()) == value for column, value in exact if value]
        if self.since:
            wanted.append(Log.created_at + 0 >= self.since)
        if self.until:
            wanted.append(Log.created_at + 0 < self.until)
        if self.stream:
            wanted.append(Log.is_stream.is_(self.stream == "1"))
        if self.min_quota:
            wanted.append(Log.quota >= self.min_quota)
        if self.min_ms:
            wanted.append(Log.elapsed_time >= self.min_ms)
        if self.q:
            named = (begins(Log.model_name, self.q), Log.token_name == self.q, Log.username == self.q)
            wanted.append(or_(Log.request_id == self.q, *named))
        if self.keyword:
            kind = int(self.keyword) if self.keyword.isdecimal() and len(self.keyword) < 10 else -1
            wanted.append(or_(func.coalesce(Log.type, 0) == kind, begins(Log.content, self.keyword)))
        return wanted if self.key is None else [self.key, *wanted]


@dataclass(frozen=True, slots=True)
class Stretch:
    """The ids among which entries are looked for: from `low` to `high`, both left out. Beyond `low` there may be `more`."""

    low: int = 0
    high: int = 0  # 0 is the present
    more: bool = False

    def conditions(self) -> list[ColumnElement[bool]]:
        return ([Log.id > self.low] if self.low else []) + ([Log.id < self.high] if self.high else [])


ALL = Stretch()


def stretch(session: Session, wanted: LogFilter, *, before: int = 0, deep: int = DEEP) -> Stretch:
    """Where to look for a page: at the `deep` newest entries of the key before an id, and not beyond the filter's times.

    Entries are written in the order of their times but for those that waited for a database that was away: SLACK is for them.
    """
    if wanted.until:  # what the stretch ends with decides where its floor is looked for
        low, high = _bounds(session, wanted, before)
        found = session.scalar(_floor(wanted, high, deep))
    else:
        high = before
        early = _early(wanted) if wanted.since else literal(0)
        low, found = session.execute(select(early, _floor(wanted, high, deep).scalar_subquery())).one()
    low, found = low or 0, found or 0
    return Stretch(max(low, found), high, found > low)


def _early(wanted: LogFilter) -> ScalarSelect[int]:
    """The newest entry that is certainly older than the filter's times."""
    return select(Log.id).where(Log.created_at < wanted.since - SLACK).order_by(Log.created_at.desc()).limit(1).scalar_subquery()


def _bounds(session: Session, wanted: LogFilter, before: int) -> tuple[int, int]:
    """The ids between which, both left out, entries of the filter's times before an id are; 0 where nothing bounds them."""
    if not (wanted.since or wanted.until):
        return 0, before
    late = select(Log.id).where(Log.created_at >= wanted.until + SLACK).order_by(Log.created_at).limit(1).scalar_subquery()
    asked = select(_early(wanted) if wanted.since else literal(0), late if wanted.until else literal(0))
    low, found = session.execute(asked).one()
    return low or 0, min(filter(None, (before, found)), default=0)


def _floor(wanted: LogFilter, high: int, deep: int) -> Select[int]:
    """The last of the `deep` entries of the key before an id."""
    query = select(Log.id).where(*Stretch(0, high).conditions(), *([] if wanted.key is None else [wanted.key]))
    return query.order_by(Log.id.desc()).offset(deep).limit(1)


PIECE = 1000  # entries that are looked at first; then twice as many while this is quick
SECONDS = 0.1  # for which pieces are looked at


def pieces(
    session: Session, wanted: LogFilter, *, before: int = 0, deep: int = DEEP, seconds: float = SECONDS
) -> Iterator[Stretch]:
    """Yield stretches of the log, newest first, each to be searched by its own query, until the time is up.

    Entries far apart on a cold disk take milliseconds each, so a number of entries alone bounds nothing. `more` of a stretch
    says whether entries are left beyond it; at most `deep` entries of the key are looked at.
    """
    began, size, left = time.monotonic(), min(PIECE, deep), deep
    high = before
    while True:
        started = time.monotonic()
        piece = stretch(session, wanted, before=high, deep=size)
        yield piece
        left, now = left - size, time.monotonic()
        if not piece.more or left <= 0 or now - began > seconds:
            return
        quick = now - started < seconds / 8
        high, size = piece.low + 1, min(2 * size if quick else size, left)


def search(session: Session, wanted: LogFilter, *, before: int = 0, limit: int = 50) -> tuple[list[Log], Stretch]:
    """Find the newest entries before an id, and the stretch that was searched for them."""
    rows: list[Log] = []
    piece = ALL
    for piece in pieces(session, wanted, before=before):
        rows += logs(session, wanted, among=piece, limit=limit - len(rows))
        if len(rows) >= limit:
            break
    return rows, Stretch(piece.low, before, piece.more)


def moment(session: Session, id: int) -> int:
    """When the entry with this id, or the next one, was written, in UTC seconds; 0 for none."""
    return session.scalar(select(Log.created_at).where(Log.id >= id).order_by(Log.id).limit(1)) or 0


def newest(session: Session) -> int:
    """The newest id, or 0."""
    return session.scalar(select(func.max(Log.id))) or 0


def logs(
    session: Session,
    wanted: LogFilter,
    *,
    among: Stretch = ALL,
    before: int = 0,
    after: int = 0,
    limit: int = 50,
    offset: int = 0,
) -> list[Log]:
    """Newest first. `before` and `after` are ids: lists of logs page by key, never by offset."""
    query = select(Log).where(*wanted.conditions(), *among.conditions())
    if before:
        query = query.where(Log.id < before)
    if after:
        query = query.where(Log.id > after)
    return list(session.scalars(query.order_by(Log.id.desc()).limit(limit).offset(offset)))


def log_entry(session: Session, id: int, user_id: int = 0) -> Log:
    """One entry; with a user, only if it is theirs. Raises Missing."""
    row = session.get(Log, id)
    if row is None or (user_id and row.user_id != user_id):
        raise Missing("log", id)
    return row


FIRST = re.compile(r'"first_ms": ?(\d+)')
SUMMED = 20_000  # a filter that the roll-ups do not know is summed over so many of the newest entries


def latencies(session: Session, wanted: LogFilter, among: Stretch = ALL, limit: int = 2000) -> list[tuple[int, int, int | None]]:
    """(seconds, milliseconds, milliseconds to the first token) of the newest requests: what percentiles are taken from."""
    head = func.substr(Log.detail, 1, 800)  # the first token's time stands near the beginning of the detail
    where = (*wanted.conditions(), *among.conditions(), Log.type + 0 == 2)
    query = select(Log.created_at, Log.elapsed_time, Log.is_stream, head).where(*where)
    rows = session.execute(query.order_by(Log.id.desc()).limit(limit))
    return [(int(at or 0), int(ms), _first(detail) if stream else None) for at, ms, stream, detail in rows]


def _first(detail: str | None) -> int | None:
    found = FIRST.search(detail or "")
    return int(found[1]) if found else None


def failures(session: Session, wanted: LogFilter, among: Stretch = ALL, limit: int = 2000) -> list[int]:
    """When the newest failed requests were, in seconds."""
    if wanted.type not in (0, Kind.ERROR):
        return []
    where = (*wanted.conditions(), *among.conditions(), Log.type + 0 == int(Kind.ERROR))
    return [int(at or 0) for at in session.scalars(select(Log.created_at).where(*where).order_by(Log.id.desc()).limit(limit))]


def durations(session: Session, since: int, until: int) -> list[int]:
    """Milliseconds of the newest requests of a span, of at most DEEP log rows."""
    among = stretch(session, LogFilter(since=since, until=until))
    where = (*LogFilter(since=since, until=until).conditions(), *among.conditions(), Log.type + 0 == int(Kind.CONSUME))
    return [int(ms) for ms in session.scalars(select(Log.elapsed_time).where(*where))]


Sums = tuple[int, int, int, int, int]  # requests, quota, tokens in, tokens out, errors


@dataclass(slots=True)
class Measured:
    """Figures of the newest requests that pass a filter; `cut` where older ones are left out of the sums."""

    speeds: list[tuple[int, int, int | None]]
    failed: list[int]
    sums: Sums
    cut: bool = False


SHOWN = 2000  # requests that percentiles and bars are taken from


def measure(session: Session, wanted: LogFilter, *, bars: bool, total: bool, before: int = 0) -> Measured:
    """Latencies of the newest requests, with `bars` the times of failed ones, with `total` the sums, as far as time allows."""
    found = Measured([], [], (0, 0, 0, 0, 0))
    for piece in pieces(session, wanted, before=before):
        if (room := SHOWN - len(found.speeds)) > 0:
            found.speeds += latencies(session, wanted, piece, room)
        if bars and (room := SHOWN - len(found.failed)) > 0:
            found.failed += failures(session, wanted, piece, room)
        if total:
            more = sums(session, wanted, piece)
            requests, quota, prompt, completion, errors = (a + b for a, b in zip(found.sums, more, strict=True))
            found.sums, found.cut = (requests, quota, prompt, completion, errors), piece.more
        elif len(found.speeds) >= SHOWN:
            break
    return found


def consumed(
    session: Session, wanted: LogFilter, *, before: int = 0, seconds: float = 0.2, size: int = SUMMED
) -> tuple[int, int]:
    """(quota of the requests before an id that pass, the id before which older ones are left out; 0 when all are in).

    Summed up in stretches of ids, which take a single pass over the entries.
    """
    began, (low, high) = time.monotonic(), _bounds(session, wanted, before)
    total, high = 0, high or newest(session) + 1
    while high - 1 > low:
        started, start = time.monotonic(), max(low, high - 1 - size)
        if wanted.key is not None:
            start = max(low, session.scalar(_floor(wanted, high, size)) or 0)
        total += sums(session, wanted, Stretch(start, high), limit=0)[1]
        high = start + 1
        now = time.monotonic()
        if now - began > seconds:
            break
        size *= 2 if now - started < seconds / 4 else 1
    return total, high if high - 1 > low else 0


def sums(session: Session, wanted: LogFilter, among: Stretch = ALL, limit: int = SUMMED) -> Sums:
    """Sum up the newest `limit` requests that pass, 0 for all of them."""
    columns = (Log.quota, Log.prompt_tokens, Log.completion_tokens, case((Log.type + 0 == int(Kind.ERROR), 1), else_=0))
    kinds = (int(Kind.CONSUME), int(Kind.ERROR))
    where = (*wanted.conditions(), *among.conditions(), (Log.type + 0).in_(kinds))
    query = select(*columns).where(*where)
    rows = (query.order_by(Log.id.desc()).limit(limit) if limit else query).subquery()
    found = session.execute(select(func.count(), *(func.coalesce(func.sum(c), 0) for c in rows.c))).one()
    asked, quota, prompt, completion, errors = map(int, found)
    return asked - errors, quota, prompt, completion, errors
