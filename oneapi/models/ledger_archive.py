"""Old ledger entries leave the database: for each user one opening entry takes their place, so that balances stay explained."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, select, update
from sqlalchemy.orm import Session

from oneapi.models.ledger import Entry

BATCH = 2000
SLACK = 86400  # seconds by which an entry may have been written later than its time says
COLUMNS = (
    "id", "request_id", "created_at", "kind", "user_id", "token_id", "channel_id", "amount", "written_off", "actor_id", "note",
)  # fmt: skip


class Interrupted(RuntimeError):
    """Another process archives the same entries."""


def key_of(user_id: int) -> str:
    """The request id of the entry that stands for a user's archived ones."""
    return f"opening:archive:{user_id}"


def batch(session: Session, before: int, after: int) -> tuple[int, Sequence[Row[Any]]] | None:
    """Return (the last id looked at, those before a time) of the next entries by id; None when there are none so old."""
    query = select(*(getattr(Entry, name) for name in COLUMNS)).where(Entry.id > after).order_by(Entry.id).limit(BATCH)
    rows = session.execute(query).all()
    if not rows or rows[0].created_at >= before + SLACK:
        return None
    return rows[-1].id, [row for row in rows if row.created_at < before and row.request_id != key_of(row.user_id)]


def fold(session: Session, rows: Sequence[Row[Any]], before: int) -> None:
    """Replace entries by one opening entry for each user, which grows; raises Interrupted when they are not all there."""
    ids = [row.id for row in rows]
    gone = session.execute(delete(Entry).where(Entry.id.in_(ids))).rowcount  # type: ignore[attr-defined]
    if gone != len(ids):
        raise Interrupted("Some of these entries are gone: another process archives the ledger. Try again when it has ended.")
    sums: dict[int, list[int]] = {}
    for row in rows:
        total = sums.setdefault(row.user_id, [0, 0])
        total[0] += row.amount
        total[1] += row.written_off
    for user_id, (amount, written_off) in sums.items():
        grown = update(Entry).where(Entry.request_id == key_of(user_id)).values(
            amount=Entry.amount + amount, written_off=Entry.written_off + written_off, created_at=before - 1
        )  # fmt: skip
        if not session.execute(grown).rowcount:  # type: ignore[attr-defined]
            session.add(Entry(
                request_id=key_of(user_id), created_at=before - 1, kind="opening", user_id=user_id, amount=amount,
                written_off=written_off, note="archived",
            ))  # fmt: skip
            session.flush()
