"""Sums over the hourly roll-ups, as charts and rankings ask for them. Totals never come from raw logs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select, text
from sqlalchemy.orm import Session

from oneapi.models.base import Count
from oneapi.models.rollup import Hour
from oneapi.models.user import User


@dataclass(frozen=True, slots=True)
class Sum:
    """What was used under one key: a bucket and model, or a user, token, channel or model."""

    key: int
    model: str
    requests: int
    quota: int
    prompt: int
    completion: int
    elapsed: int
    errors: int = 0  # failed requests, which `requests` leaves out


def _sums() -> list[Any]:
    columns = (Hour.requests, Hour.quota, Hour.prompt_tokens, Hour.completion_tokens, Hour.elapsed_time, Hour.errors)
    return [func.coalesce(func.sum(column), 0) for column in columns]


def _within(since: int, until: int, filters: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    return [
        Hour.hour >= since - since % 3600,
        Hour.hour < until,
        *(getattr(Hour, k) == v for k, v in filters.items() if v is not None),
    ]


SERVED = func.sum(Hour.requests) > 0


def series(session: Session, since: int, until: int, *, step: int, offset: int = 0, **filters: Any) -> list[Sum]:
    """Sums by bucket of `step` seconds and model. `offset` is the reader's distance from UTC, so that days are theirs."""
    # Numbers stand in the text: PostgreSQL would take two bound parameters for two different expressions.
    bucket = literal_column(f"(hour + {int(offset)}) - (hour + {int(offset)}) % {int(step)} - {int(offset)}", Count)
    asked = select(bucket.label("bucket"), Hour.model_name, *_sums()).where(*_within(since, until, filters))
    rows = session.execute(asked.group_by(text("bucket"), Hour.model_name).order_by(text("bucket")))
    return [Sum(int(key), model, *map(int, numbers)) for key, model, *numbers in rows]


def top(session: Session, since: int, until: int, by: str, *, limit: int = 8, **filters: Any) -> list[Sum]:
    """The keys of one column (user_id, token_id, channel_id or model_name) that spent most; of those that served anything."""
    column = getattr(Hour, by)
    spent = func.sum(Hour.quota)
    asked = select(column, *_sums()).where(*_within(since, until, filters)).group_by(column).having(SERVED)
    rows = session.execute(asked.order_by(spent.desc()).limit(limit))
    if by == "model_name":
        return [Sum(0, key, *map(int, numbers)) for key, *numbers in rows]
    return [Sum(int(key), "", *map(int, numbers)) for key, *numbers in rows]


def top_people(session: Session, since: int, until: int, *, limit: int = 8) -> tuple[list[tuple[str, Sum]], int]:
    """(user name, sums) of those who spent most, and how many people were served anything."""
    spent, active = func.sum(Hour.quota), func.count().over()
    sums = [column.label(f"sum{n}") for n, column in enumerate(_sums())]
    grouped = select(Hour.user_id, active.label("active"), spent.label("spent"), *sums).where(*_within(since, until, {}))
    ranked = grouped.group_by(Hour.user_id).having(SERVED).order_by(spent.desc())
    most = ranked.limit(limit).subquery()  # names only for these, not for all rows
    asked = select(most.c.user_id, User.username, most.c.active, *(most.c[column.name] for column in sums))
    rows = list(session.execute(asked.outerjoin(User, User.id == most.c.user_id).order_by(most.c.spent.desc())))
    found = [(name or f"#{key}", Sum(int(key), "", *map(int, numbers))) for key, name, _active, *numbers in rows]
    return found, int(rows[0][2]) if rows else 0


def many(session: Session, limit: int = 50_000) -> bool:
    """Whether there are so many roll-ups that summing them up makes people wait."""
    return session.scalar(select(Hour.hour).order_by(Hour.hour).offset(limit).limit(1)) is not None


def any_request(session: Session) -> bool:
    """Whether anything was ever served."""
    return session.scalar(select(Hour.hour).where(Hour.requests > 0).limit(1)) is not None
