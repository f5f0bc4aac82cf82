"""Hourly roll-ups of consumption and of failures: what pages and limits read instead of raw logs."""

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from oneapi.models.base import Base, Count, Id


class Hour(Base):
    """One hour of one user, token, channel and model. `hour` is UTC seconds of its beginning."""

    __tablename__ = "usage_hours"
    __table_args__ = (Index("idx_usage_hours_user", "user_id", "hour"), {"mysql_charset": "utf8mb4"})

    hour: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    user_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    token_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    channel_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    model_name: Mapped[str] = mapped_column(String(191), primary_key=True)
    requests: Mapped[int] = mapped_column(Count, default=0)
    quota: Mapped[int] = mapped_column(Count, default=0)
    prompt_tokens: Mapped[int] = mapped_column(Count, default=0)
    completion_tokens: Mapped[int] = mapped_column(Count, default=0)
    elapsed_time: Mapped[int] = mapped_column(Count, default=0)  # milliseconds, summed
    errors: Mapped[int] = mapped_column(Count, server_default="0")  # failed requests, which `requests` leaves out
