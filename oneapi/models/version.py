"""Versions: one number per topic that is raised in the same transaction as a change, so that other processes notice it.

The UPDATE locks the row, so numbers become visible in the order of commits and no change is skipped.
"""

from sqlalchemy import String, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.models.base import Base, Count

TOPICS = ("channels", "settings", "users", "tokens")


class Version(Base):
    __tablename__ = "versions"

    topic: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(Count, default=0)


def bump(session: Session, topic: str) -> None:
    """Tell every process that this topic changed; takes effect when the caller commits."""
    changed = session.execute(update(Version).where(Version.topic == topic).values(number=Version.number + 1))
    if not changed.rowcount:  # type: ignore[attr-defined]
        session.add(Version(topic=topic, number=1))


def numbers(session: Session) -> dict[str, int]:
    return dict(session.execute(select(Version.topic, Version.number)).all())


def ensure(session: Session) -> None:
    """One row for every topic, so that `bump` never has to insert while others do."""
    known = numbers(session)
    session.add_all([Version(topic=topic, number=0) for topic in TOPICS if topic not in known])
