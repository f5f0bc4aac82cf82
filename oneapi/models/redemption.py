"""Redemption codes: each is worth its quota once."""

from enum import IntEnum

from sqlalchemy.orm import Mapped, mapped_column

from oneapi.models.base import Base, Count, Id, Name, code


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
