"""People: accounts, balances, roles. `quota` is what is left and not leased to a worker; see models/ledger.py."""

from enum import IntEnum
from typing import cast

from sqlalchemy import Boolean, Column, ColumnElement, String, Table, Text, func, or_, select, true, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.mailbox import normal, spellings
from oneapi.models.base import Base, Count, Id, Name
from oneapi.models.email_key import Folded
from oneapi.models.lists import begins


class Role(IntEnum):
    GUEST = 0
    USER = 1
    ADMIN = 10
    ROOT = 100


MOST_QUOTA = 2**53  # the largest balance: JSON, JavaScript and floating point hold it exactly, and sums of it fit 64 bits
FACTORY_PASSWORD = "123456"  # of the first root, known to everybody: it leads only to a new one


class Status(IntEnum):
    ENABLED = 1
    DISABLED = 2
    DELETED = 3


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    username: Mapped[str | None] = mapped_column(Name, unique=True, index=True)
    password: Mapped[str] = mapped_column(Name, nullable=False)
    display_name: Mapped[str | None] = mapped_column(Name, index=True)
    role: Mapped[int] = mapped_column(Count, default=Role.USER, server_default="1")
    status: Mapped[int] = mapped_column(Count, default=Status.ENABLED, server_default="1")
    email: Mapped[str | None] = mapped_column(Name, index=True)
    github_id: Mapped[str | None] = mapped_column(Name, index=True)
    wechat_id: Mapped[str | None] = mapped_column(Name, index=True)
    lark_id: Mapped[str | None] = mapped_column(Name, index=True)
    oidc_id: Mapped[str | None] = mapped_column(Name, index=True)
    # The old project kept access tokens in clear here; ours are hashed below and this column is emptied when adopted.
    access_token: Mapped[str | None] = mapped_column(String(32), unique=True, index=True)
    quota: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    used_quota: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    request_count: Mapped[int] = mapped_column(Count, default=0, server_default="0")
    group: Mapped[str] = mapped_column(String(32), default="default", server_default="default")
    aff_code: Mapped[str | None] = mapped_column(String(32), unique=True, index=True)
    inviter_id: Mapped[int | None] = mapped_column(Count, index=True)
    # Ours.
    access_token_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    github_uid: Mapped[str | None] = mapped_column(String(64), index=True)  # numeric id; logins can be renamed and re-registered
    email_verified: Mapped[bool | None] = mapped_column(Boolean, default=False)
    must_change_password: Mapped[bool | None] = mapped_column(Boolean, default=False)
    session_epoch: Mapped[int | None] = mapped_column(Count, default=0)  # a session of an older epoch is signed out
    ended_sessions: Mapped[str | None] = mapped_column(Text)  # sessions that signed out: "id:expiry id:expiry …", UTC seconds
    created_time: Mapped[int | None] = mapped_column(Count)
    language: Mapped[str | None] = mapped_column(String(16))
    appearance: Mapped[str | None] = mapped_column(String(16))  # light, dark or system
    reminded_at_quota: Mapped[int | None] = mapped_column(Count)  # balance at the last low-balance mail; NULL once topped up


# By this column addresses are found, in whatever spelling a row has them. It belongs to the table and not to User: the database
# alone fills it, so that rows written by the old project, an older version or by hand are found too.
EMAIL_KEY: Column[str] = Column("email_key", Name, Folded("lower(trim(email))"), index=True)
cast(Table, User.__table__).append_column(EMAIL_KEY)


def get(session: Session, id: int) -> User | None:
    """The user, deleted ones left out."""
    user = session.get(User, id)
    return user if user is not None and user.status != Status.DELETED else None


def session_ended(user: User, session_id: str) -> bool:
    """Return True when a session of this account has signed out. Its cookie may still exist as a copy."""
    return any(entry.partition(":")[0] == session_id for entry in (user.ended_sessions or "").split())


def by_login(session: Session, name: str) -> User | None:
    """Return the account that a name typed at sign-in belongs to; None for none, or for an e-mail address of several."""
    found = with_login(session, name)
    return found[0] if len(found) == 1 else None


def with_login(session: Session, name: str) -> list[User]:
    """Return the accounts that a name typed at sign-in can mean: the one with this user name, else all with this e-mail address.

    Names are compared exactly: collations of MySQL take é for e, and a wrong password for another spelling must count too.
    """
    user = session.scalar(select(User).where(User.username == name, User.status != Status.DELETED))
    if user is not None and user.username == name:
        return [user]
    return with_email(session, name) if "@" in name else []


def with_email(session: Session, email: str, *, limit: int = 20) -> list[User]:
    """Return the accounts with this e-mail address, in any spelling; deleted ones left out."""
    wanted = select(User).where(EMAIL_KEY.in_(spellings(email)), User.status != Status.DELETED).order_by(User.id).limit(limit)
    return [row for row in session.scalars(wanted) if normal(row.email or "") == normal(email)]


def by_access_token_hash(session: Session, hashed: str) -> User | None:
    return session.scalar(select(User).where(User.access_token_hash == hashed, User.status != Status.DELETED))


def matching(keyword: str) -> ColumnElement[bool]:
    """A condition for the search box: a prefix of name, e-mail or display name, or exactly the id."""
    tests = [begins(column, keyword) for column in (User.username, User.display_name)]
    tests.append(begins(EMAIL_KEY, keyword.strip().lower()))
    return or_(*tests, User.id == int(keyword)) if keyword.isdecimal() and len(keyword) < 18 else or_(*tests)


def visible(viewer: int) -> ColumnElement[bool]:
    """A condition for the accounts that somebody of this role may see: root's are for root alone."""
    return true() if viewer >= Role.ROOT else User.role < Role.ROOT


def move_quota(session: Session, id: int, amount: int) -> bool:
    """Add `amount` (may be negative) to a balance in one statement.

    False when it would fall below zero or the user is gone. What was leased comes back whatever the balance is: ledger.move
    checks MOST_QUOTA.
    """
    wanted = [User.id == id] + ([User.quota >= -amount] if amount < 0 else [])
    return session.execute(update(User).where(*wanted).values(quota=User.quota + amount)).rowcount == 1  # type: ignore[attr-defined]


def count(session: Session, *, with_quota: bool = False) -> int:
    wanted = select(func.count()).select_from(User)
    return session.scalar(wanted.where(User.quota != 0) if with_quota else wanted) or 0


def first_root(session: Session) -> User | None:
    return session.scalar(select(User).where(User.role == Role.ROOT).order_by(User.status, User.id).limit(1))


def unexamined_roots(session: Session, *, unasked: bool = False) -> list[tuple[int, str]]:
    """(id, hash) of roots of whom nobody knows whether they have the factory password; `unasked` where that has no column yet."""
    wanted = [User.role == Role.ROOT, User.status != Status.DELETED]
    rows = select(User.id, User.password).where(*wanted, *([] if unasked else [User.must_change_password.is_(None)]))
    return [(id, password) for id, password in session.execute(rows)]


def examined(session: Session, id: int, *, factory: bool) -> None:
    """Note whether somebody has the factory password, and so must choose another one."""
    session.execute(update(User).where(User.id == id).values(must_change_password=factory))


_IN_CLEAR = (User.access_token.is_not(None), User.access_token != "")


def count_clear_access_tokens(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(User).where(*_IN_CLEAR)) or 0


def clear_access_tokens(session: Session, limit: int = 5000) -> list[tuple[int, str]]:
    """(id, access token) of some of those that the old project left in clear."""
    rows = select(User.id, User.access_token).where(*_IN_CLEAR).limit(limit)
    return [(id, str(clear)) for id, clear in session.execute(rows)]


def hide_access_tokens(session: Session, hashes: list[tuple[int, str]]) -> None:
    """Keep only the hash of these people's access tokens."""
    session.execute(update(User), [{"id": id, "access_token": None, "access_token_hash": hashed} for id, hashed in hashes])


def prefer(session: Session, id: int, **columns: str | None) -> None:
    """Keep someone's language or appearance."""
    session.execute(update(User).where(User.id == id).values(**columns))
