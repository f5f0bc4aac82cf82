"""Logs: what was consumed, topped up, managed and tested. May live in a database of its own."""

from enum import IntEnum

from sqlalchemy import Boolean, Index
from sqlalchemy.orm import Mapped, mapped_column

from oneapi.models.base import Base, Count, Id, LongText, Name


class Kind(IntEnum):
    UNKNOWN = 0
    TOPUP = 1
    CONSUME = 2
    MANAGE = 3
    SYSTEM = 4
    TEST = 5


class Log(Base):
    __tablename__ = "logs"
    __table_args__ = (
        Index("idx_created_at_type", "created_at", "type"),
        Index("index_username_model_name", "model_name", "username"),
        {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4"},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int | None] = mapped_column(Count, index=True)
    created_at: Mapped[int | None] = mapped_column(Count)
    type: Mapped[int | None] = mapped_column(Count)
    content: Mapped[str | None] = mapped_column(LongText)
    username: Mapped[str] = mapped_column(Name, default="")
    token_name: Mapped[str] = mapped_column(Name, default="", index=True)
    model_name: Mapped[str] = mapped_column(Name, default="", index=True)
    quota: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    prompt_tokens: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    completion_tokens: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    channel_id: Mapped[int | None] = mapped_column(Count, index=True)
    request_id: Mapped[str] = mapped_column(Name, default="")
    elapsed_time: Mapped[int] = mapped_column(Count, default=0, server_default="0")  # milliseconds
    is_stream: Mapped[bool] = mapped_column(Boolean, default=False, server_default="0")
    system_prompt_reset: Mapped[bool] = mapped_column(Boolean, default=False, server_default="0")
    # Ours: a JSON object that explains the charge for ever; see relay/ledger.py.
    detail: Mapped[str | None] = mapped_column(LongText)
