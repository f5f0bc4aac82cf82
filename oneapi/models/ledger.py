"""The ledger: every movement of every balance, and the leases that workers hold on balances and token budgets.

A balance is users.quota plus what is leased and not yet spent: sum(ledger.amount) = quota + sum(lease.amount - lease.spent).
"""

from collections.abc import Iterable
from uuid import uuid4

from sqlalchemy import Index, String, UniqueConstraint, cast, delete, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Mapped, Session, mapped_column

from oneapi.models import user
from oneapi.models.base import Base, Count, Id, Missing
from oneapi.models.token import Token

MOVES = ("opening", "topup", "redeem", "gift", "adjust")  # every kind but consumption


class Entry(Base):
    """`amount` is signed quota: negative for what was consumed. `written_off` is what a request cost beyond the balance."""

    __tablename__ = "ledger"
    __table_args__ = (
        Index("idx_ledger_user_kind", "user_id", "kind", "id"),
        {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4"},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    request_id: Mapped[str] = mapped_column(String(64), unique=True)  # also of top-ups: their idempotency key
    created_at: Mapped[int] = mapped_column(Count)
    kind: Mapped[str] = mapped_column(String(16))  # one of MOVES, or consume
    user_id: Mapped[int] = mapped_column(Count)
    token_id: Mapped[int] = mapped_column(Count, default=0)
    channel_id: Mapped[int] = mapped_column(Count, default=0)
    amount: Mapped[int] = mapped_column(Count)
    written_off: Mapped[int] = mapped_column(Count, default=0)
    actor_id: Mapped[int] = mapped_column(Count, default=0)
    note: Mapped[str] = mapped_column(String(255), default="")


class Lease(Base):
    """A slice of a user's balance or a token's budget that one worker may spend from memory."""

    __tablename__ = "leases"
    __table_args__ = (
        UniqueConstraint("worker", "kind", "owner_id", "serial", name="uni_leases_worker_owner"),
        Index("idx_leases_owner", "kind", "owner_id"),
        {"sqlite_autoincrement": True, "mysql_charset": "utf8mb4"},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    worker: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(8))  # user or token
    owner_id: Mapped[int] = mapped_column(Count)
    serial: Mapped[int] = mapped_column(Count)  # counts the leases of one worker
    amount: Mapped[int] = mapped_column(Count)
    spent: Mapped[int] = mapped_column(Count, default=0)
    created_at: Mapped[int] = mapped_column(Count)


class Worker(Base):
    """A process that serves; its leases are taken back when it stops renewing `alive_at` (UTC seconds)."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(String(191), default="")
    pid: Mapped[int] = mapped_column(Count, default=0)
    version: Mapped[str] = mapped_column(String(32), default="")
    started_at: Mapped[int] = mapped_column(Count)
    alive_at: Mapped[int] = mapped_column(Count)


def workers(session: Session) -> list[Worker]:
    return list(session.scalars(select(Worker).order_by(Worker.alive_at.desc())))


def move(
    session: Session, user_id: int, amount: int, *, kind: str, now: int, key: str = "", actor: int = 0, note: str = "",
) -> bool:  # fmt: skip
    """Move a balance and write why. False when it would fall below zero, the user is gone, or `key` was used before.

    Raises TooMuch when it would exceed user.MOST_QUOTA.
    `key` makes the movement happen once however often it is asked for (an idempotency key or a redemption code).
    """
    if amount > 0:
        _check_most(balance(session, user_id) + amount)  # before the statement, which could leave 64 bits
    entry = Entry(
        request_id=f"{kind}:{key or uuid4().hex}"[:64], created_at=now, kind=kind, user_id=user_id, amount=amount, actor_id=actor,
        note=note[:255],
    )  # fmt: skip
    try:
        with session.begin_nested():
            session.add(entry)
            session.flush()
            if not user.move_quota(session, user_id, amount):
                raise _Short
            if amount > 0:
                _check_most(balance(session, user_id))  # again with the row locked: somebody else may have added too
    except (IntegrityError, _Short):
        return False
    return True


def moment(session: Session, request_id: str) -> int:
    """When a request was charged, UTC seconds; 0 for none of this id."""
    return session.scalar(select(Entry.created_at).where(Entry.request_id == request_id[:64], Entry.kind == "consume")) or 0


def by_key(session: Session, kind: str, key: str) -> Entry | None:
    """The movement that a key stands for, if it was made."""
    return session.scalar(select(Entry).where(Entry.request_id == f"{kind}:{key}"[:64]))


class TooMuch(Exception):
    """A balance would exceed user.MOST_QUOTA; `total` is what it would be."""

    def __init__(self, total: int):
        super().__init__(total)
        self.total = total


def _check_most(total: int) -> None:
    if total > user.MOST_QUOTA:
        raise TooMuch(total)


class _Short(Exception):
    pass


def leased(session: Session, kind: str, owner_ids: Iterable[int]) -> dict[int, int]:
    """What workers hold and have not spent, by owner: add it to the stored column to get what is left."""
    held = select(Lease.owner_id, func.sum(Lease.amount - Lease.spent)).where(
        Lease.kind == kind, Lease.owner_id.in_(list(owner_ids))
    )
    return {owner: int(total) for owner, total in session.execute(held.group_by(Lease.owner_id))}


def balance(session: Session, user_id: int) -> int:
    """What a user has left, leases included; 0 for nobody."""
    quota = session.scalar(select(user.User.quota).where(user.User.id == user_id)) or 0
    return quota + leased(session, "user", [user_id]).get(user_id, 0)


def give_back(session: Session, lease: Lease) -> bool:
    """End a lease and credit what it has not spent. False when it was ended, or spent from, since it was read."""
    ended = session.execute(delete(Lease).where(Lease.id == lease.id, Lease.spent == lease.spent))
    if not ended.rowcount:  # type: ignore[attr-defined]
        return False
    rest = lease.amount - lease.spent
    if lease.kind == "user":
        user.move_quota(session, lease.owner_id, rest)
    else:
        session.execute(update(Token).where(Token.id == lease.owner_id).values(remain_quota=Token.remain_quota + rest))
    return True


def recall(session: Session, kind: str, owner_id: int) -> None:
    """Take every lease on one balance or budget back, so that its column alone says what is left.

    A worker that settles against a lease which is gone charges the balance directly.
    """
    leases = select(Lease).where(Lease.kind == kind, Lease.owner_id == owner_id).execution_options(populate_existing=True)
    for _ in range(100):
        held = session.scalars(leases).all()
        ended = [give_back(session, lease) for lease in held]
        if all(ended):
            for lease in held:
                session.expunge(lease)
            return


def set_balance(session: Session, user_id: int, quota: int, *, now: int, actor: int, note: str = "") -> int:
    """Make a user's balance exactly `quota` (>= 0); returns what it was. Whatever was leased is taken back first."""
    recall(session, "user", user_id)
    before = _replace_quota(session, user_id, quota)
    entry = Entry(
        request_id=f"adjust:{uuid4().hex}", created_at=now, kind="adjust", user_id=user_id, amount=quota - before, actor_id=actor,
        note=note[:255],
    )  # fmt: skip
    session.add(entry)
    return before


def _replace_quota(session: Session, user_id: int, quota: int) -> int:
    while True:
        before = session.scalar(select(user.User.quota).where(user.User.id == user_id))
        if before is None:
            raise Missing("user", user_id)
        changed = update(user.User).where(user.User.id == user_id, user.User.quota == before).values(quota=quota)
        if session.execute(changed).rowcount:  # type: ignore[attr-defined]
            return before


def differences(session: Session) -> list[tuple[int, int, int]]:
    """(user id, balance, what the ledger says) of every user whose balance the ledger does not explain."""
    try:
        return _differences(session)
    except OperationalError as error:
        if "integer overflow" not in str(error):
            raise
        return _differences_one_by_one(session)  # SQLite adds in 64 bits, and sums of old entries may exceed them


def _differences_one_by_one(session: Session) -> list[tuple[int, int, int]]:
    has = {id: int(quota) for id, quota in session.execute(select(user.User.id, user.User.quota))}
    explained = dict.fromkeys(has, 0)
    for id, rest in session.execute(select(Lease.owner_id, Lease.amount - Lease.spent).where(Lease.kind == "user")):
        has[id] = has.get(id, 0) + int(rest)
    for id, amount in session.execute(select(Entry.user_id, Entry.amount)):
        explained[id] = explained.get(id, 0) + int(amount)
    return [(id, has[id], explained[id]) for id in sorted(explained) if id in has and has[id] != explained[id]]


def _differences(session: Session) -> list[tuple[int, int, int]]:
    held = select(Lease.owner_id, func.sum(Lease.amount - Lease.spent).label("rest")).where(Lease.kind == "user")
    leases = held.group_by(Lease.owner_id).subquery()
    said = select(Entry.user_id, func.sum(Entry.amount).label("total")).group_by(Entry.user_id).subquery()
    has, explained = user.User.quota + func.coalesce(leases.c.rest, 0), func.coalesce(said.c.total, 0)
    rows = (
        select(user.User.id, has, explained)
        .outerjoin(leases, leases.c.owner_id == user.User.id)
        .outerjoin(said, said.c.user_id == user.User.id)
        .where(has != explained)
        .order_by(user.User.id)
    )
    return [(id, int(a), int(b)) for id, a, b in session.execute(rows)]


_UNEXPLAINED = (user.User.quota != 0, ~select(Entry.id).where(Entry.user_id == user.User.id).exists())


def unexplained(session: Session) -> int:
    """How many people have a balance and not one entry, as adopted users have."""
    return session.scalar(select(func.count()).select_from(user.User).where(*_UNEXPLAINED)) or 0


def open_accounts(session: Session, *, now: int) -> None:
    """An opening entry for everybody with a balance that no entry explains, as adopted users are."""
    opening = select(
        literal("opening:").concat(cast(user.User.id, String(20))), literal(now), literal("opening"), user.User.id, literal(0),
        literal(0), user.User.quota, literal(0), literal(0), literal(""),
    ).where(*_UNEXPLAINED)  # fmt: skip
    columns = [
        "request_id", "created_at", "kind", "user_id", "token_id", "channel_id", "amount", "written_off", "actor_id", "note",
    ]  # fmt: skip
    session.execute(insert(Entry).from_select(columns, opening))
