"""Logs: what was consumed, topped up, managed and tested. May live in a database of its own."""

from enum import IntEnum

from sqlalchemy import Boolean, Index, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.models.base import Base, Count, Id, LongText, Name


class Kind(IntEnum):
    UNKNOWN = 0
    TOPUP = 1
    CONSUME = 2
    MANAGE = 3
    SYSTEM = 4
    TEST = 5
    ERROR = 6  # ours: a request that failed and cost nothing


class Log(Base):
    __tablename__ = "logs"
    __table_args__ = (
        Index("idx_created_at_type", "created_at", "type"),
        Index("index_username_model_name", "model_name", "username"),
        Index("idx_logs_user", "user_id", "id"),  # a person's own, newest first
        {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4"},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int | None] = mapped_column(Count)
    created_at: Mapped[int | None] = mapped_column(Count)
    type: Mapped[int | None] = mapped_column(Count)
    content: Mapped[str | None] = mapped_column(LongText)
    username: Mapped[str] = mapped_column(Name, default="", server_default="")
    token_name: Mapped[str] = mapped_column(Name, default="", server_default="", index=True)
    model_name: Mapped[str] = mapped_column(Name, default="", server_default="", index=True)
    quota: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    prompt_tokens: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    completion_tokens: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    channel_id: Mapped[int | None] = mapped_column(Count, index=True)
    request_id: Mapped[str] = mapped_column(Name, default="", server_default="")
    elapsed_time: Mapped[int] = mapped_column(Count, default=0, server_default="0")  # milliseconds
    is_stream: Mapped[bool] = mapped_column(Boolean, default=False, server_default="0")
    system_prompt_reset: Mapped[bool] = mapped_column(Boolean, default=False, server_default="0")
    # Ours: a JSON object that explains the charge for ever; see relay/ledger.py.
    detail: Mapped[str | None] = mapped_column(LongText)


COUNTED = 100_000  # further rows are not counted: a total of millions would be read one by one


def recent(session: Session, user_id: int, request_id: str) -> Log | None:
    """One of somebody's last hundred logs by its request. Request ids have no index, so it is not looked for further back."""
    last = select(Log).where(Log.user_id == user_id).order_by(Log.id.desc()).limit(100)
    return next((row for row in session.scalars(last) if row.request_id == request_id), None)


def count_before(session: Session, timestamp: int) -> int:
    """Count the rows before a time: exactly up to COUNTED, beyond that estimated from the ids of the oldest and the newest."""
    older = Log.created_at < timestamp
    counted = select(Log.id).where(older).order_by(Log.created_at).limit(COUNTED).subquery()
    count = session.scalar(select(func.count()).select_from(counted)) or 0
    if count < COUNTED:
        return count
    ends = [
        session.scalar(select(Log.id).where(older).order_by(order).limit(1)) or 0
        for order in (Log.created_at, Log.created_at.desc())
    ]
    return max(count, ends[1] - ends[0] + 1)


def delete_before(session: Session, timestamp: int, limit: int) -> int:
    """Delete at most `limit` of the oldest rows before a time; returns how many."""
    ids = list(session.scalars(select(Log.id).where(Log.created_at < timestamp).order_by(Log.created_at).limit(limit)))
    if not ids:
        return 0
    return session.execute(delete(Log).where(Log.id.in_(ids))).rowcount  # type: ignore[attr-defined]
