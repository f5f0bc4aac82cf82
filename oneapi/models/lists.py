"""What every list shares: one page with the total, and the prefix search of the search boxes."""

from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session


def paged(session: Session, query: Select[Any], *, offset: int, limit: int) -> tuple[list[Any], int]:
    """The rows of one page of an ordered query, and how many rows there are in all."""
    total = session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    return list(session.scalars(query.offset(offset).limit(limit))), total


LONGEST = 500  # characters of a keyword; SQLite refuses patterns of 50,000 bytes


def begins(column: InstrumentedAttribute[Any] | ColumnElement[Any], keyword: str) -> ColumnElement[bool]:
    """A condition: the column begins with the keyword, whose % and _ mean themselves, or with the beginning of a long one."""
    keyword = keyword[:LONGEST]
    return column.like(keyword.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%", escape="\\")


def named(id: InstrumentedAttribute[Any], name: InstrumentedAttribute[Any], keyword: str) -> ColumnElement[bool]:
    """A condition: a name that begins with the keyword, or exactly the id."""
    number = int(keyword) if keyword.isdecimal() and len(keyword) < 18 else 0
    return or_(begins(name, keyword), id == number) if number else begins(name, keyword)
