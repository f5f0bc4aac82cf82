"""The audit trail: every act of an administrator, with the difference it made and without secrets."""

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.models.base import Base, Count, Id, LongText
from oneapi.models.lists import paged


class Audit(Base):
    __tablename__ = "audits"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    created_at: Mapped[int] = mapped_column(Count, index=True)
    actor_id: Mapped[int] = mapped_column(Count, index=True)
    actor_name: Mapped[str] = mapped_column(String(191), default="")
    action: Mapped[str] = mapped_column(String(64))  # e.g. channel.update
    noun: Mapped[str] = mapped_column(String(32), default="")
    noun_id: Mapped[str] = mapped_column(String(64), default="")
    difference: Mapped[str | None] = mapped_column(LongText)  # JSON object: field → [old, new]
    ip: Mapped[str] = mapped_column(String(64), default="")


def page(session: Session, *, noun: str = "", offset: int = 0, limit: int = 10) -> tuple[list[Audit], int]:
    """The newest acts, of one noun or of all."""
    query = select(Audit).where(Audit.noun == noun) if noun else select(Audit)
    return paged(session, query.order_by(Audit.id.desc()), offset=offset, limit=limit)
