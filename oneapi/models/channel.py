"""Channels: our accounts with vendors."""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any

from sqlalchemy import Float, String, Text, delete, select, type_coerce, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.fields import names, parsed
from oneapi.models import sealed
from oneapi.models.base import Base, Count, Id, LongText, Missing, Name
from oneapi.models.lists import named, paged


class Status(IntEnum):
    UNKNOWN = 0
    ENABLED = 1
    DISABLED = 2  # by a person: nothing but a person enables it again
    AUTO_DISABLED = 3


class Channel(Base):
    __tablename__ = "channels"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    type: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    key: Mapped[str | None] = mapped_column(sealed.Sealed)  # encrypted at rest when ENCRYPTION_KEY is set
    status: Mapped[int] = mapped_column(Count, default=Status.ENABLED, server_default="1")
    name: Mapped[str | None] = mapped_column(Name, index=True)
    weight: Mapped[int | None] = mapped_column(Count, default=0, server_default="0")
    created_time: Mapped[int | None] = mapped_column(Count)
    test_time: Mapped[int | None] = mapped_column(Count)
    response_time: Mapped[int | None] = mapped_column(Count)  # milliseconds
    base_url: Mapped[str | None] = mapped_column(Name, default="")
    other: Mapped[str | None] = mapped_column(LongText)
    balance: Mapped[float | None] = mapped_column(Float(53))
    balance_updated_time: Mapped[int | None] = mapped_column(Count)
    models: Mapped[str | None] = mapped_column(LongText)
    group: Mapped[str] = mapped_column(LongText, default="default")
    used_quota: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    model_mapping: Mapped[str | None] = mapped_column(LongText, default="")
    priority: Mapped[int | None] = mapped_column(Count, default=0, server_default="0")
    config: Mapped[str | None] = mapped_column(LongText)
    system_prompt: Mapped[str | None] = mapped_column(LongText)
    # Ours.
    tag: Mapped[str | None] = mapped_column(String(64), index=True)
    remark: Mapped[str | None] = mapped_column(LongText)
    balance_currency: Mapped[str | None] = mapped_column(String(8))
    status_reason: Mapped[str | None] = mapped_column(LongText)
    status_time: Mapped[int | None] = mapped_column(Count)
    tests: Mapped[str | None] = mapped_column(String(20))  # the last tests, oldest first: 1 for good, 0 for bad
    test_model: Mapped[str | None] = mapped_column(String(191))
    parameters: Mapped[str | None] = mapped_column(LongText)  # JSON object laid over every request body

    def plain_key(self) -> str | None:
        """The vendor's key or keys; None when it was sealed with another ENCRYPTION_KEY, so that the channel cannot be used."""
        return None if isinstance(self.key, sealed.Unreadable) else self.key or ""

    def model_names(self) -> list[str]:
        return split(self.models)

    def group_names(self) -> list[str]:
        return split(self.group) or ["default"]

    def settings(self) -> dict[str, Any]:
        """The config column as a dict; what is not a JSON object counts as empty."""
        return json_object(self.config)


def split(text: str | None) -> list[str]:
    """The names in a list of models, groups or networks, in their order."""
    return names(text)


def json_object(text: str | None) -> dict[str, Any]:
    try:
        value = parsed(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def get(session: Session, id: int) -> Channel:
    """The channel; raises Missing."""
    channel = session.get(Channel, id)
    if channel is None:
        raise Missing("channel", id)
    return channel


def every(session: Session) -> list[Channel]:
    return list(session.scalars(select(Channel).order_by(Channel.id)))


# What requests depend on; the rest of a row is for people.
ROUTED = (
    Channel.id, Channel.type, Channel.key, Channel.status, Channel.name, Channel.weight, Channel.base_url, Channel.other,
    Channel.models, Channel.group, Channel.model_mapping, Channel.priority, Channel.config, Channel.system_prompt,
    Channel.test_model, Channel.parameters,
)  # fmt: skip


def pieces(session: Session, size: int) -> Iterator[Sequence[Any]]:
    """The columns ROUTED of all channels in the order of their ids, `size` rows at a time."""
    last = -1
    while rows := session.execute(select(*ROUTED).where(Channel.id > last).order_by(Channel.id).limit(size)).all():
        yield rows
        last = rows[-1].id


def by_name(session: Session, name: str, type: int) -> Channel | None:
    """The oldest channel of this name and type."""
    wanted = select(Channel).where(Channel.name == name, Channel.type == type)
    return session.scalar(wanted.order_by(Channel.id).limit(1))


def unseal_all(session: Session) -> tuple[int, int]:
    """Store every key in clear; how many, and how many cannot be opened."""
    rows = session.scalars(select(Channel).where(type_coerce(Channel.key, Text).startswith(sealed.PREFIX))).all()
    readable = [row for row in rows if row.plain_key() is not None]
    for row in readable:
        session.execute(update(Channel).where(Channel.id == row.id).values(key=type_coerce(row.key, Text)))
    return len(readable), len(rows) - len(readable)


def seal_all(session: Session) -> int:
    """Seal keys that are stored in clear, or with a former ENCRYPTION_KEY; how many. Nothing without an ENCRYPTION_KEY."""
    stored = select(Channel.id, type_coerce(Channel.key, Text)).where(Channel.key.is_not(None))
    stale = [id for id, text in session.execute(stored) if sealed.stale(text)]
    for row in session.scalars(select(Channel).where(Channel.id.in_(stale))):
        session.execute(update(Channel).where(Channel.id == row.id).values(key=row.key))
    return len(stale)


def change_status(session: Session, id: int, was: int, becomes: int, *, reason: str, now: int) -> bool:
    """Change a status that is still what the caller believes; False when somebody was faster."""
    changed = update(Channel).where(Channel.id == id, Channel.status == was)
    changed = changed.values(status=becomes, status_reason=reason[:500], status_time=now)
    return session.execute(changed).rowcount == 1  # type: ignore[attr-defined]


def page(session: Session, *, offset: int = 0, limit: int = 10, keyword: str = "") -> tuple[list[Channel], int]:
    """Channels, newest first; a keyword is an id or the beginning of a name."""
    query = select(Channel)
    if keyword:
        query = query.where(named(Channel.id, Channel.name, keyword))
    return paged(session, query.order_by(Channel.id.desc()), offset=offset, limit=limit)


def with_status(session: Session, *statuses: int) -> list[Channel]:
    return list(session.scalars(select(Channel).where(Channel.status.in_(statuses)).order_by(Channel.id)))


def remove(session: Session, ids: list[int]) -> int:
    return session.execute(delete(Channel).where(Channel.id.in_(ids))).rowcount  # type: ignore[attr-defined]


def note(session: Session, id: int, **columns: Any) -> None:
    """Write what was measured of a channel: times and balances, nothing that routing looks at."""
    session.execute(update(Channel).where(Channel.id == id).values(**columns))
