"""Tokens: a client's keys, each with its own budget, expiry, networks, models and limits."""

from enum import IntEnum

from sqlalchemy import Boolean, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.models.base import Base, Count, Id, LongText, Missing, Name, code


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
