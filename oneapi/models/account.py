"""Accounts: finding, listing, adding and closing them. The table stands in models/user.py."""

from typing import Any
from uuid import uuid4

from sqlalchemy import func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from oneapi.mailbox import normal
from oneapi.models.lists import paged
from oneapi.models.rollup import Hour
from oneapi.models.user import Role, Status, User, matching, visible, with_email

ORDERS = {"quota": User.quota, "used_quota": User.used_quota, "request_count": User.request_count}
IDENTITIES = ("github_id", "github_uid", "wechat_id", "lark_id", "oidc_id")


def by_username(session: Session, username: str) -> User | None:
    return session.scalar(select(User).where(User.username == username, User.status != Status.DELETED))


def by_email(session: Session, email: str) -> User | None:
    """The one account that a reset mail to this address is for: the verified owner, else the only one who names it."""
    found = with_email(session, email)
    verified = [row for row in found if row.email_verified] or found
    return verified[0] if len(verified) == 1 else None


def email_taken(session: Session, email: str, *, but: int = 0) -> bool:
    """Return True when another account has this address, in any spelling."""
    return any(row.id != but for row in with_email(session, email))


def shared_emails(session: Session) -> list[tuple[str, list[tuple[int, str]]]]:
    """Return each e-mail address that several accounts have, with their ids and user names."""
    owners: dict[str, list[tuple[int, str]]] = {}
    named = select(User.id, User.username, User.email).where(User.email != "", User.status != Status.DELETED)
    for id, username, email in session.execute(named.order_by(User.id)):
        owners.setdefault(normal(email or ""), []).append((id, username or ""))
    return [(email, found) for email, found in owners.items() if email and len(found) > 1]


def odd_emails(session: Session) -> list[tuple[int, str | None]]:
    """Return (id, right spelling) of accounts whose e-mail address is not in the one spelling; None for blanks alone."""
    rows = session.execute(select(User.id, User.email).where(User.email != ""))
    return [(id, normal(email) or None) for id, email in rows if email and normal(email) != email]


def spell_emails(session: Session) -> None:
    """Write every e-mail address in the one spelling."""
    for id, email in odd_emails(session):
        bind(session, id, email=email)


def by_identity(session: Session, column: str, identity: str) -> User | None:
    """The account that a provider's identity belongs to; nobody has the empty identity."""
    if not identity:
        return None
    found = session.scalars(select(User).where(getattr(User, column) == identity, User.status != Status.DELETED))
    return next((row for row in found if getattr(row, column) == identity), None)  # MySQL would ignore case


def free(session: Session, column: str, value: Any) -> bool:
    """Whether no account has this value in a column where it must be one person's; a status is everybody's."""
    if column == "email":
        return not email_taken(session, value)
    return column == "status" or session.scalar(select(User.id).where(getattr(User, column) == value).limit(1)) is None


def by_aff_code(session: Session, code: str) -> User | None:
    wanted = select(User).where(User.aff_code == code, User.status == Status.ENABLED)
    return session.scalar(wanted) if code else None


def root(session: Session) -> User | None:
    return session.scalar(select(User).where(User.role == Role.ROOT, User.status == Status.ENABLED).order_by(User.id).limit(1))


def next_number(session: Session) -> int:
    """For generated user names: one more than the highest id."""
    return (session.scalar(select(func.max(User.id))) or 0) + 1


def page(
    session: Session, *, viewer: int, order: str = "", offset: int = 0, limit: int = 10, keyword: str = ""
) -> tuple[list[User], int]:  # fmt: skip
    """Accounts that a viewer of a role may see and that are not deleted, newest first unless `order` names one of ORDERS."""
    query = select(User).where(User.status != Status.DELETED, visible(viewer))
    if keyword:
        query = query.where(matching(keyword))
    first = (ORDERS[order].desc(),) if order in ORDERS else ()
    return paged(session, query.order_by(*first, User.id.desc()), offset=offset, limit=limit)


def add(session: Session, row: User) -> bool:
    """Insert an account; False when its user name, or another unique column, is taken."""
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError:
        return False
    return True


def rename(session: Session, row: User, username: str) -> bool:
    """Give an account another user name; False when it is taken."""
    try:
        with session.begin_nested():
            session.execute(update(User).where(User.id == row.id).values(username=username))
    except IntegrityError:
        return False
    session.refresh(row)
    return True


def close(session: Session, row: User) -> bool:
    """Delete an account for good but keep its row for the books; False when somebody was faster."""
    gone: dict[str, Any] = dict.fromkeys((*IDENTITIES, "email", "aff_code", "access_token_hash", "access_token"))
    gone |= {"username": f"deleted_{uuid4().hex}", "status": Status.DELETED, "session_epoch": (row.session_epoch or 0) + 1}
    closed = session.execute(update(User).where(User.id == row.id, User.status != Status.DELETED).values(**gone))
    session.refresh(row)
    return closed.rowcount == 1  # type: ignore[attr-defined]


def bind(session: Session, id: int, **columns: Any) -> None:
    session.execute(update(User).where(User.id == id).values(**columns))


MOST_ENDED = 100  # sessions that an account remembers as ended; with more, all its sessions end


def end_session(session: Session, id: int, session_id: str, *, now: int, expires_at: int) -> None:
    """Remember until `expires_at`, when its cookies expire, that a session has signed out."""
    row = session.scalar(select(User).where(User.id == id).with_for_update().execution_options(populate_existing=True))
    if row is None:
        return
    pairs = [entry.partition(":") for entry in (row.ended_sessions or "").split()]
    kept = [f"{name}:{expiry}" for name, _, expiry in pairs if int(expiry) > now]
    if len(kept) >= MOST_ENDED:
        end_sessions(session, row)
    else:
        bind(session, id, ended_sessions=" ".join([*kept, f"{session_id}:{expires_at}"]))


def end_sessions(session: Session, row: User, **columns: Any) -> None:
    """End every session of an account; writes more columns in the same statement."""
    bind(session, row.id, session_epoch=(row.session_epoch or 0) + 1, ended_sessions=None, **columns)


def set_aff_code(session: Session, id: int, code: str) -> bool:
    """Give an account its invitation code unless it has one; False when the code is taken or there was one."""
    missing = (User.aff_code.is_(None)) | (User.aff_code == "")
    try:
        with session.begin_nested():
            changed = session.execute(update(User).where(User.id == id, missing).values(aff_code=code))
    except IntegrityError:
        return False
    return changed.rowcount == 1  # type: ignore[attr-defined]


def to_remind(session: Session, threshold: int, *, since: int, limit: int = 500) -> list[User]:
    """Who has used their quota up to the threshold and was not told, or was told and has used up the rest too.

    Only who has used some of it since a time: nobody wants a mail because they had nothing left years ago.
    """
    news = or_(User.reminded_at_quota.is_(None), (User.quota <= 0) & (User.reminded_at_quota > 0))
    active = User.id.in_(select(Hour.user_id).where(Hour.hour > since - 3600, Hour.requests > 0))
    low = select(User).where(User.status == Status.ENABLED, User.quota < threshold, news, active)
    return list(session.scalars(low.where(User.email.is_not(None), User.email != "").order_by(User.id).limit(limit)))


def reminded(session: Session, id: int, quota: int, *, was: int | None) -> bool:
    """Note at which balance someone was told; False when somebody else did it first."""
    unchanged = User.reminded_at_quota.is_(None) if was is None else User.reminded_at_quota == was
    mine = update(User).where(User.id == id, unchanged).values(reminded_at_quota=max(quota, 0))
    return session.execute(mine).rowcount == 1  # type: ignore[attr-defined]


def forget_reminders(session: Session, threshold: int) -> None:
    """Whoever is above the threshold again may be reminded at the next crossing."""
    above = update(User).where(User.reminded_at_quota.is_not(None), User.quota >= threshold)
    session.execute(above.values(reminded_at_quota=None))
