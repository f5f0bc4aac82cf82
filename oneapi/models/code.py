"""One-time codes: of mails, resets, OAuth and undo; and answers kept for a while. Shared by all nodes; expired rows are swept."""

import hashlib

from sqlalchemy import String, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.models.base import Base, Count, LongText
from oneapi.models.upsert import upsert


class Code(Base):
    """`digest` is a SHA-256 of the secret, so that a look at the table gives nobody a code."""

    __tablename__ = "one_time_codes"

    purpose: Mapped[str] = mapped_column(String(32), primary_key=True)
    subject: Mapped[str] = mapped_column(String(191), primary_key=True)  # an e-mail address, a state, ...
    digest: Mapped[str] = mapped_column(String(64))
    data: Mapped[str | None] = mapped_column(LongText)
    expires_at: Mapped[int] = mapped_column(Count, index=True)
    attempts: Mapped[int] = mapped_column(Count, default=0)


ATTEMPTS = 5  # wrong guesses after which a code is worth nothing


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def issue(session: Session, purpose: str, subject: str, secret: str, *, expires_at: int, data: str = "") -> None:
    """Keep a code; an older one for the same purpose and subject is void."""
    values = {"digest": digest(secret), "data": data, "expires_at": expires_at, "attempts": 0}
    made = upsert(session.get_bind().dialect.name, Code, replace=list(values))
    session.execute(made.values(purpose=purpose, subject=subject, **values))


def take(session: Session, purpose: str, subject: str, secret: str, *, now: int) -> str | None:
    """Use a code up and return its data; None when it is wrong, expired, used or guessed at too often. One taker wins."""
    mine = (Code.purpose == purpose, Code.subject == subject, Code.digest == digest(secret))
    data = session.scalar(select(Code.data).where(*mine))
    valid = delete(Code).where(*mine, Code.expires_at > now, Code.attempts <= ATTEMPTS)
    return (data or "") if session.execute(valid).rowcount == 1 else None  # type: ignore[attr-defined]


def attempt(session: Session, purpose: str, subject: str) -> bool:
    """Count an attempt; False when there were too many, or there is no code. Commit it before the code is compared."""
    mine = (Code.purpose == purpose, Code.subject == subject, Code.attempts < ATTEMPTS)
    counted = session.execute(update(Code).where(*mine).values(attempts=Code.attempts + 1))
    return counted.rowcount == 1  # type: ignore[attr-defined]


def forgive(session: Session, purpose: str, subject: str) -> None:
    """Take an attempt back whose code was right."""
    mine = (Code.purpose == purpose, Code.subject == subject, Code.attempts > 0)
    session.execute(update(Code).where(*mine).values(attempts=Code.attempts - 1))


def known(session: Session, purpose: str, subjects: list[str], *, now: int) -> bool:
    """Whether any of these is remembered."""
    found = select(Code.subject).where(Code.purpose == purpose, Code.subject.in_(subjects), Code.expires_at > now)
    return session.scalar(found.limit(1)) is not None


def holds(session: Session, purpose: str, subject: str, secret: str, *, now: int) -> bool:
    """Whether this is the secret that is kept, without using it up."""
    found = select(Code.digest).where(Code.purpose == purpose, Code.subject == subject, Code.expires_at > now)
    return session.scalar(found) == digest(secret)


def drop(session: Session, purpose: str, subject: str) -> None:
    """Forget what is kept for a purpose and subject."""
    session.execute(delete(Code).where(Code.purpose == purpose, Code.subject == subject))


def kept(session: Session, purpose: str, subject: str, *, now: int) -> str | None:
    """The data of what is no secret, without using it up."""
    return session.scalar(select(Code.data).where(Code.purpose == purpose, Code.subject == subject, Code.expires_at > now))


def sweep(session: Session, *, now: int) -> int:
    return session.execute(delete(Code).where(Code.expires_at <= now)).rowcount  # type: ignore[attr-defined]
