"""Abilities: which channel serves which model to which group. Kept for the old project's readers; we route from channels."""

from collections.abc import Iterable

from sqlalchemy import Boolean, String, delete, insert, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.models.base import Base, Count, Id, Name
from oneapi.models.channel import Channel, Status


class Ability(Base):
    __tablename__ = "abilities"
    __table_args__ = {"mysql_charset": "utf8mb4"}

    group: Mapped[str] = mapped_column(String(32).with_variant(String(64), "mysql", "mariadb", "postgresql"), primary_key=True)
    model: Mapped[str] = mapped_column(Name, primary_key=True)
    channel_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False, index=True)
    enabled: Mapped[bool | None] = mapped_column(Boolean)
    priority: Mapped[int | None] = mapped_column(Count, default=0, index=True)


def rebuild(session: Session, channels: Iterable[Channel]) -> None:
    """Replace the rows of these channels by what the channels now say, in the caller's transaction."""
    channels = list(channels)
    session.execute(delete(Ability).where(Ability.channel_id.in_([c.id for c in channels])))
    rows = [
        {"group": group, "model": model, "channel_id": c.id, "enabled": c.status == Status.ENABLED, "priority": c.priority or 0}
        for c in channels
        for group in c.group_names()
        for model in c.model_names()
    ]
    if rows:
        session.execute(insert(Ability), rows)


def forget(session: Session, channel_ids: Iterable[int]) -> None:
    session.execute(delete(Ability).where(Ability.channel_id.in_(list(channel_ids))))


def set_enabled(session: Session, channel_id: int, enabled: bool) -> None:
    session.execute(update(Ability).where(Ability.channel_id == channel_id).values(enabled=enabled))
