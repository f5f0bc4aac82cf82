"""Options: run-time settings as key and text. What they mean stands in oneapi/settings.py."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.models.base import Base, Count, LongText, Name


class Option(Base):
    __tablename__ = "options"

    key: Mapped[str] = mapped_column(Name, primary_key=True)
    value: Mapped[str | None] = mapped_column(LongText)
    # Ours.
    updated_at: Mapped[int | None] = mapped_column(Count)
    updated_by: Mapped[int | None] = mapped_column(Count)


def all_rows(session: Session) -> dict[str, str]:
    return {key: value or "" for key, value in session.execute(select(Option.key, Option.value))}


def put(session: Session, key: str, value: str, *, now: int, by: int) -> None:
    """Store one option; the caller has checked the value and bumps the version."""
    session.merge(Option(key=key, value=value, updated_at=now, updated_by=by))


def put_missing(session: Session, values: Mapping[str, str], *, now: int) -> None:
    """Store those options that are not stored yet; the caller has checked the values."""
    stored = all_rows(session)
    for key, value in values.items():
        if key not in stored:
            put(session, key, value, now=now, by=0)


def of_keys(session: Session, keys: Iterable[str]) -> list[Option]:
    """The stored rows of some options, with who changed them when."""
    return list(session.scalars(select(Option).where(Option.key.in_(list(keys)))))
