"""A few things whose name somebody is typing. Nothing is counted and no row is read whole: it is asked at every letter."""

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from oneapi.models.browse import contains
from oneapi.models.channel import Channel
from oneapi.models.lists import begins
from oneapi.models.token import Token
from oneapi.models.user import Status, User, matching, visible

Found = list[tuple[int, str]]  # id and name


def tokens(session: Session, user_id: int, text: str, limit: int) -> Found:
    """A person's own, by name, or by the start or the end of the key; the one used last first."""
    bare = text.removeprefix("sk-")
    wanted = or_(contains(Token.name, text), begins(Token.key, bare), Token.key.endswith(bare, autoescape=True))
    asked = select(Token.id, Token.name).where(Token.user_id == user_id, wanted)
    return _named(session, asked.order_by(Token.accessed_time.desc(), Token.id.desc()).limit(limit))


def channels(session: Session, text: str, limit: int) -> Found:
    """By id, or by a part of the name, tag or address; not by models, which the palette finds by themselves."""
    bare = text.removeprefix("#")
    number = [Channel.id == int(bare)] if bare.isdecimal() and len(bare) < 15 else []
    wanted = or_(*number, *(contains(column, text) for column in (Channel.name, Channel.tag, Channel.base_url)))
    asked = select(Channel.id, Channel.name).where(wanted)
    return _named(session, asked.order_by(Channel.priority.desc(), Channel.id.desc()).limit(limit))


def users(session: Session, text: str, limit: int, *, viewer: int) -> Found:
    """By id, or by the start of a name or address; the newest first, so that no more is looked at than is shown."""
    asked = select(User.id, User.username).where(User.status != Status.DELETED, matching(text), visible(viewer))
    return _named(session, asked.order_by(User.id.desc()).limit(limit))


def _named(session: Session, asked: "Select[int, str | None]") -> Found:
    return [(id, name or "") for id, name in session.execute(asked)]
