"""Tokens: a client's keys, each with its own budget, expiry, networks, models and limits."""

from collections.abc import Iterable
from enum import IntEnum

from sqlalchemy import Boolean, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.models.base import Base, Count, Id, LongText, Missing, Name, code
from oneapi.models.lists import begins, paged


class Status(IntEnum):
    ENABLED = 1
    DISABLED = 2
    EXPIRED = 3
    EXHAUSTED = 4


class Token(Base):
    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int | None] = mapped_column(Count, index=True)
    key: Mapped[str] = mapped_column(code(48), unique=True, index=True)
    status: Mapped[int] = mapped_column(Count, default=Status.ENABLED, server_default="1")
    name: Mapped[str | None] = mapped_column(Name, index=True)
    created_time: Mapped[int | None] = mapped_column(Count)
    accessed_time: Mapped[int | None] = mapped_column(Count)
    expired_time: Mapped[int] = mapped_column(Count, default=-1, server_default="-1")
    remain_quota: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    unlimited_quota: Mapped[bool] = mapped_column(Boolean, default=False, server_default="0")
    used_quota: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    models: Mapped[str | None] = mapped_column(LongText)
    subnet: Mapped[str | None] = mapped_column(Name, default="")
    # Ours. Zero or NULL means no limit.
    requests_per_minute: Mapped[int | None] = mapped_column(Count)
    tokens_per_minute: Mapped[int | None] = mapped_column(Count)
    concurrency: Mapped[int | None] = mapped_column(Count)


def last_used(session: Session, user_ids: Iterable[int]) -> dict[int, int]:
    """When each of these people last used a token; those who never did are left out."""
    asked = select(Token.user_id, func.max(Token.accessed_time)).where(Token.user_id.in_(list(user_ids)))
    return {int(id): int(when) for id, when in session.execute(asked.group_by(Token.user_id)) if id and when}


def owned(session: Session, id: int, user_id: int) -> Token:
    """The token if it is this user's; there is no other way to one. Raises Missing."""
    token = session.scalar(select(Token).where(Token.id == id, Token.user_id == user_id))
    if token is None:
        raise Missing("token", id)
    return token


def by_key(session: Session, key: str) -> Token | None:
    """The token with exactly this key; MySQL by itself would ignore case and trailing blanks."""
    token = session.scalar(select(Token).where(Token.key == key))
    return token if token is not None and token.key == key else None


ORDERS = {"remain_quota": (Token.unlimited_quota.desc(), Token.remain_quota.desc()), "used_quota": (Token.used_quota.desc(),)}


def page(
    session: Session, user_id: int, *, order: str = "", offset: int = 0, limit: int = 10, keyword: str = "",
) -> tuple[list[Token], int]:  # fmt: skip
    """A person's tokens, newest first unless `order` names one of ORDERS."""
    query = select(Token).where(Token.user_id == user_id)
    if keyword:
        query = query.where(begins(Token.name, keyword))
    return paged(session, query.order_by(*ORDERS.get(order, ()), Token.id.desc()), offset=offset, limit=limit)


def remove(session: Session, id: int, user_id: int) -> bool:
    gone = session.execute(delete(Token).where(Token.id == id, Token.user_id == user_id))
    return gone.rowcount == 1  # type: ignore[attr-defined]


def of(session: Session, user_id: int) -> list[Token]:
    """All of a person's tokens."""
    return list(session.scalars(select(Token).where(Token.user_id == user_id).order_by(Token.id)))


def remove_all(session: Session, user_id: int) -> None:
    session.execute(delete(Token).where(Token.user_id == user_id))


def passing(session: Session, user_id: int, name: str) -> Token | None:
    """The person's unlimited token of this name that ends by itself, whether or not it has."""
    mine = (Token.user_id == user_id, Token.name == name, Token.expired_time > 0, Token.unlimited_quota.is_(True))
    return session.scalar(select(Token).where(*mine).order_by(Token.id.desc()).limit(1))


def by_name(session: Session, user_id: int, name: str) -> Token | None:
    return session.scalar(select(Token).where(Token.user_id == user_id, Token.name == name).order_by(Token.id).limit(1))
