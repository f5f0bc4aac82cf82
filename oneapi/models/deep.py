"""Pages far into a list that no index sorts: a sample tells where about they begin, so that only the rest is sorted.

An index on a balance would have to be written by every request. Sorting a hundred thousand rows to skip half of them takes
three times as long as counting those that come before.
"""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

FAR = 5_000  # rows to skip from which this is worth it
SAMPLE = 800  # rows looked at, evenly over the ids
SIGMAS = 3


def start(
    session: Session, column: Any, id: Any, where: Sequence[ColumnElement[bool]], *, falling: bool, offset: int, total: int
) -> tuple[list[ColumnElement[bool]], int]:
    """A condition that leaves out rows before a page, and how many of the others are to be skipped. The column has no NULL."""
    if offset < FAR or offset >= total:
        return [], offset
    highest = session.scalar(select(func.max(id))) or 0
    spread = range(1, highest + 1, max(1, highest // SAMPLE))
    found = sorted(session.scalars(select(column).where(id.in_(spread), *where)), reverse=falling)
    share = offset / total
    place = int(len(found) * share) - ceil(SIGMAS * sqrt(len(found) * share * (1 - share)))
    if place <= 0:
        return [], offset
    edge = found[place]
    before, rest = (column > edge, column <= edge) if falling else (column < edge, column >= edge)
    passed = session.scalar(select(func.count()).select_from(select(id).where(*where, before).subquery())) or 0
    return ([rest], offset - passed) if passed <= offset else ([], offset)
