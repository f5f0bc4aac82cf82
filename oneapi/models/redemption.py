"""Redemption codes: each is worth its quota once."""

from enum import IntEnum

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.models.base import Base, Count, Id, Missing, Name, code
from oneapi.models.lists import named, paged


class Status(IntEnum):
    ENABLED = 1
    DISABLED = 2
    USED = 3


class Redemption(Base):
    __tablename__ = "redemptions"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int | None] = mapped_column(Count)  # who made it
    key: Mapped[str] = mapped_column(code(32), unique=True, index=True)
    status: Mapped[int] = mapped_column(Count, default=Status.ENABLED, server_default="1")
    name: Mapped[str | None] = mapped_column(Name, index=True)
    quota: Mapped[int] = mapped_column(Count, default=100, server_default="100")
    created_time: Mapped[int | None] = mapped_column(Count)
    redeemed_time: Mapped[int | None] = mapped_column(Count)
    # Ours.
    redeemed_by: Mapped[int | None] = mapped_column(Count)
    expired_time: Mapped[int | None] = mapped_column(Count)  # NULL or -1 = never


def get(session: Session, id: int) -> Redemption:
    """The code; raises Missing."""
    row = session.get(Redemption, id)
    if row is None:
        raise Missing("redemption", id)
    return row


def by_key(session: Session, key: str) -> Redemption | None:
    return session.scalar(select(Redemption).where(Redemption.key == key)) if key else None


def page(session: Session, *, offset: int = 0, limit: int = 10, keyword: str = "") -> tuple[list[Redemption], int]:
    """Codes, newest first; a keyword is an id or the beginning of a name."""
    query = select(Redemption)
    if keyword:
        query = query.where(named(Redemption.id, Redemption.name, keyword))
    return paged(session, query.order_by(Redemption.id.desc()), offset=offset, limit=limit)


def use(session: Session, id: int, user_id: int, *, now: int) -> bool:
    """Mark a code as used by someone. One statement decides, so that a code has one winner however many try at once."""
    open_ = or_(Redemption.expired_time.is_(None), Redemption.expired_time <= 0, Redemption.expired_time > now)
    winner = update(Redemption).where(Redemption.id == id, Redemption.status == Status.ENABLED, open_)
    used = winner.values(status=Status.USED, redeemed_time=now, redeemed_by=user_id)
    return session.execute(used).rowcount == 1  # type: ignore[attr-defined]


def change(session: Session, id: int, **columns: object) -> bool:
    """Change a code that nobody has used; False when it is used or gone."""
    changed = update(Redemption).where(Redemption.id == id, Redemption.status != Status.USED).values(**columns)
    return session.execute(changed).rowcount == 1  # type: ignore[attr-defined]


def remove(session: Session, id: int) -> bool:
    return session.execute(delete(Redemption).where(Redemption.id == id)).rowcount == 1  # type: ignore[attr-defined]


def remove_with_status(session: Session, status: int) -> int:
    return session.execute(delete(Redemption).where(Redemption.status == status)).rowcount  # type: ignore[attr-defined]
