"""The SQL of leases and settlements: one transaction charges everybody concerned. See relay/ledger.py for the story."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import gevent
from gevent.threadpool import ThreadPool
from sqlalchemy import (
    Connection,
    Engine,
    StaticPool,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError, TimeoutError
from sqlalchemy.orm import Session

from oneapi.models.channel import Channel
from oneapi.models.ledger import Entry, Lease, Worker
from oneapi.models.log import Log
from oneapi.models.rollup import Hour
from oneapi.models.token import Token
from oneapi.models.user import User

DEAD_SECONDS = 45  # a worker of another host that has not said it lives for this long is dead


@dataclass(slots=True, eq=False)
class Row:
    """One settlement: what was served to whom and what it costs. `log` is the values of its log row, or None."""

    request_id: str
    created_at: int
    user_id: int
    token_id: int
    channel_id: int
    model: str
    cost: int
    prompt_tokens: int = 0
    completion_tokens: int = 0
    elapsed: int = 0  # milliseconds
    log: dict[str, Any] | None = None
    from_user: int = 0  # paid from the user's lease
    from_token: int = 0
    limited: bool = False  # the token has a budget of its own
    user_lease: int = 0
    token_lease: int = 0
    user_purse: Any = None  # of the worker; not stored
    token_purse: Any = None
    written_off: int = 0


# What a database that is away, or refuses a statement, raises.
FAILURES = (SQLAlchemyError, OSError)
# What a value raises that no column holds, beside the database's own complaint.
UNFIT = (ValueError, TypeError, ArithmeticError)
PASSING_MYSQL, PASSING_POSTGRESQL = {1020, 1205, 1213}, {"40P01", "40001", "55P03"}


def passing(error: DBAPIError) -> bool:
    """Whether the database only asks to try the whole transaction again: a deadlock, or a lock that was held too long."""
    cause: Any = error.orig
    if getattr(cause, "sqlstate", None) in PASSING_POSTGRESQL:
        return True
    first = cause.args[0] if cause is not None and cause.args else None
    return first in PASSING_MYSQL or (isinstance(first, str) and first.startswith("database is locked"))


T = TypeVar("T")


def away(error: Exception) -> bool:
    """Whether the database could not be asked or was busy, so that the same statement may succeed later."""
    return isinstance(error, (OperationalError, InterfaceError, TimeoutError, OSError))


def again(work: Callable[[], T], pauses: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)) -> T:
    """What a transaction returns, tried again when another one stood in its way."""
    for pause in pauses:
        try:
            return work()
        except DBAPIError as error:
            if not passing(error):
                raise
        gevent.sleep(pause)
    return work()


OWNERS: dict[str, tuple[Any, Any]] = {"user": (User, User.quota), "token": (Token, Token.remain_quota)}


def lease(
    session: Session, worker: str, kind: str, owner: int, held: int, more: int, least: int, slice: int, ample: int, now: int
) -> tuple[int, bool, int]:
    """Lease at least `more` quota if there is as much: (how much was got, whether little is left, id of the lease).

    From an ample balance a whole slice is taken; from a small one just what is needed, or all that is left of it if that is
    at least `least`: whoever took what does not help him would keep others from being helped.
    """
    model, column = OWNERS[kind]
    for _ in range(20):
        left = session.scalar(select(column).where(model.id == owner)) or 0
        amount = min(max(more, left // slice), left) if left > more * ample else min(more, left)
        if amount < max(least, 1):
            return 0, True, held
        # Leases before balances, as settlements do it: whoever locks rows in another order may meet them in a deadlock.
        if held and not _grow(session, held, amount):
            held = 0
        taken = update(model).where(model.id == owner, column >= amount).values({column: column - amount})
        if session.execute(taken, execution_options={"synchronize_session": False}).rowcount:  # type: ignore[attr-defined]
            return amount, left <= more * ample, held or _new(session, worker, kind, owner, amount, now)
        if held:
            _grow(session, held, -amount)
    return 0, True, held


def _grow(session: Session, held: int, amount: int) -> bool:
    grown = update(Lease).where(Lease.id == held).values(amount=Lease.amount + amount)
    return bool(session.execute(grown, execution_options={"synchronize_session": False}).rowcount)  # type: ignore[attr-defined]


def _new(session: Session, worker: str, kind: str, owner: int, amount: int, now: int) -> int:
    serial = (session.scalar(select(func.max(Lease.serial)).where(Lease.worker == worker)) or 0) + 1
    row = Lease(worker=worker, kind=kind, owner_id=owner, serial=serial, amount=amount, spent=0, created_at=now)
    session.add(row)
    session.flush()
    return row.id


def leased_by_others(session: Session, worker: str, kind: str, owner: int) -> bool:
    """Whether other workers hold something of this balance that may come back."""
    held = select(Lease.id).where(Lease.kind == kind, Lease.owner_id == owner, Lease.worker != worker, Lease.amount > Lease.spent)
    return session.scalar(held.limit(1)) is not None


def leases_of(session: Session, worker: str, *, before: int | None = None) -> set[int]:
    """The ids of a worker's leases, or of those that it got before a time."""
    mine = select(Lease.id).where(Lease.worker == worker)
    return set(session.scalars(mine if before is None else mine.where(Lease.created_at < before)))


def give_back(session: Session, id: int) -> None:
    """End one lease and credit what it has not spent."""
    _end(session, [id])


def _end(session: Session, ids: Iterable[int]) -> int:
    ended = 0
    for id in sorted(ids):
        for _ in range(20):
            row = session.execute(
                select(Lease.kind, Lease.owner_id, Lease.amount, Lease.spent).where(Lease.id == id)
            ).one_or_none()
            if row is None:
                break
            gone = delete(Lease).where(Lease.id == id, Lease.spent == row.spent, Lease.amount == row.amount)
            if session.execute(gone, execution_options={"synchronize_session": False}).rowcount:  # type: ignore[attr-defined]
                model, column = OWNERS[row.kind]
                credit = update(model).where(model.id == row.owner_id).values({column: column + (row.amount - row.spent)})
                session.execute(credit, execution_options={"synchronize_session": False})
                ended += 1
                break
    return ended


def beat(session: Session, worker: str, host: str, pid: int, version: str, now: int) -> None:
    """Say that a worker lives."""
    alive = update(Worker).where(Worker.id == worker).values(alive_at=now)
    if not session.execute(alive).rowcount:  # type: ignore[attr-defined]
        session.add(Worker(id=worker, host=host[:191], pid=pid, version=version, started_at=now, alive_at=now))


def sign_off(session: Session, worker: str) -> None:
    _end(session, leases_of(session, worker))
    session.execute(delete(Worker).where(Worker.id == worker))


def sweep(session: Session, host: str, runs: Callable[[int], bool], now: int) -> int:
    """End the leases of workers that are gone: on this host by their process, everywhere by their silence.

    A process that runs proves nothing by itself: in containers the next one often has the number of the last.
    """
    workers = session.execute(select(Worker.id, Worker.host, Worker.pid, Worker.alive_at)).all()
    dead = [w.id for w in workers if w.alive_at < now - DEAD_SECONDS or (w.host == host[:191] and not runs(w.pid))]
    known = [w.id for w in workers if w.id not in dead]
    orphans = select(Lease.id).where(or_(Lease.worker.in_(dead), Lease.worker.not_in(known)), Lease.created_at < now - 1)
    ended = _end(session, session.scalars(orphans).all())
    if dead:
        session.execute(delete(Worker).where(Worker.id.in_(dead)))
    return ended


Return = tuple[int, str, int, int]  # lease, kind, owner and the quota that goes back from the one to the other


class Store:
    """Writes what is about money. On SQLite in a thread with a connection of its own: the hub never waits for the disk, and
    a transaction never for a thread that others, who wait for its end, have taken."""

    def __init__(self, databases: Any):
        self.databases = databases
        self._pool: ThreadPool | None = None
        self._engine = databases.engine
        self.sqlite = databases.engine.dialect.name == "sqlite"

    def write(self, rows: list[Row], returns: list[Return], *, replay: bool = False) -> set[int]:
        """One transaction: charge `rows` and give `returns` back. Returns leases that turned out to be gone, and are now.

        With `replay`, a row whose request id is in the ledger already changes nothing.
        """
        return self._attempted(lambda: self._write(rows, returns, replay))

    def run(self, work: Callable[[Session], T]) -> T:
        """What `work` returns, done in a transaction of its own."""
        return self._attempted(lambda: self._transacted(work))

    def _attempted(self, work: Callable[[], T]) -> T:
        if not self.sqlite:
            return again(work)
        if self._pool is None:
            self._pool, self._engine = ThreadPool(1), self._own_engine()
        pool = self._pool

        def there() -> T:
            done, result = pool.apply(_outcome, (work,))
            if not done:
                raise result
            return result

        return again(there, (0.05, 0.2))  # each has waited for the lock itself

    def _own_engine(self) -> Engine:
        arguments = {"check_same_thread": False, "timeout": self.databases.busy_seconds}
        engine = create_engine(self.databases.url, poolclass=StaticPool, connect_args=arguments, hide_parameters=True)
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=FULL").close())
        return engine

    def _transacted(self, work: Callable[[Session], T]) -> T:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            if self.sqlite:
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            return work(session)

    def _write(self, rows: list[Row], returns: list[Return], replay: bool) -> set[int]:
        separate = self.databases.separate_logs
        with self._engine.begin() as connection:
            if self.sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            if replay:
                rows = _unwritten(connection, rows)
            gone = _charge(connection, rows, returns)
            if rows:
                connection.execute(insert(Entry), [_entry(row) for row in rows])
                if not separate:
                    _write_logs(connection, rows)
        if separate and rows:
            with self.databases.log_engine.begin() as connection:
                _write_logs(connection, rows)
        return gone


def _outcome(work: Callable[[], Any]) -> tuple[bool, Any]:
    """(True, what came of it) or (False, the error): gevent prints what its threads raise, and a locked file is no news."""
    try:
        return True, work()
    except Exception as error:  # raised again where it can be handled
        return False, error


def _unwritten(connection: Connection, rows: list[Row]) -> list[Row]:
    """The rows whose request id the ledger does not hold yet."""
    known = set(connection.scalars(select(Entry.request_id).where(Entry.request_id.in_([row.request_id for row in rows]))))
    return [row for row in rows if row.request_id not in known]


def _entry(row: Row) -> dict[str, Any]:
    return {
        "request_id": row.request_id, "created_at": row.created_at, "kind": "consume", "user_id": row.user_id,
        "token_id": row.token_id, "channel_id": row.channel_id, "amount": row.written_off - row.cost,
        "written_off": row.written_off, "actor_id": 0, "note": "",
    }  # fmt: skip


_leases, _users, _tokens, _channels, _hours = (cast(Table, m.__table__) for m in (Lease, User, Token, Channel, Hour))
_SPEND = (
    update(_leases)
    .where(_leases.c.id == bindparam("b_id"), _leases.c.amount - _leases.c.spent >= bindparam("n"))
    .values(spent=_leases.c.spent + bindparam("n"))
)
_SHRINK = (
    update(_leases)
    .where(_leases.c.id == bindparam("b_id"), _leases.c.amount - _leases.c.spent >= bindparam("n"))
    .values(amount=_leases.c.amount - bindparam("n"))
)
_COUNT_USER = (
    update(_users)
    .where(_users.c.id == bindparam("b_id"))
    .values(used_quota=_users.c.used_quota + bindparam("n"), request_count=_users.c.request_count + bindparam("k"))
)
_UNCOUNT = update(_users).where(_users.c.id == bindparam("b_id")).values(used_quota=_users.c.used_quota - bindparam("n"))
_TERMS = select(_leases.c.kind, _leases.c.owner_id, _leases.c.amount, _leases.c.spent).where(_leases.c.id == bindparam("b_id"))
_END = delete(_leases).where(_leases.c.id == bindparam("b_id"))
_COUNT_TOKEN = (
    update(_tokens)
    .where(_tokens.c.id == bindparam("b_id"))
    .values(used_quota=_tokens.c.used_quota + bindparam("n"), accessed_time=bindparam("t"))
)
_COUNT_CHANNEL = (
    update(_channels).where(_channels.c.id == bindparam("b_id")).values(used_quota=_channels.c.used_quota + bindparam("n"))
)
_BALANCES = {"user": (_users, _users.c.quota), "token": (_tokens, _tokens.c.remain_quota)}
_DEBIT = {
    kind: update(t).where(t.c.id == bindparam("b_id"), column >= bindparam("n")).values({column.name: column - bindparam("n")})
    for kind, (t, column) in _BALANCES.items()
}
_CREDIT = {
    kind: update(t).where(t.c.id == bindparam("b_id")).values({column.name: column + bindparam("n")})
    for kind, (t, column) in _BALANCES.items()
}
_LEFT = {kind: select(column).where(t.c.id == bindparam("b_id")) for kind, (t, column) in _BALANCES.items()}


def _charge(connection: Connection, rows: list[Row], returns: list[Return]) -> set[int]:
    """Move leases, balances and counters. Tables and rows are touched in one order, so that workers rarely deadlock."""
    gone, credits = _take(connection, rows, returns)
    for kind in ("user", "token"):
        _count(connection, kind, rows)
        for owner, amount in sorted(credits[kind].items()):
            connection.execute(_CREDIT[kind], {"b_id": owner, "n": amount})
        _collect(connection, kind, rows, gone)
    channels: dict[int, int] = {}
    for row in rows:
        channels[row.channel_id] = channels.get(row.channel_id, 0) + row.cost
    if channels:
        connection.execute(_COUNT_CHANNEL, [{"b_id": id, "n": n} for id, n in sorted(channels.items())])
    _roll_up(connection, rows)
    return gone


def _take(connection: Connection, rows: list[Row], returns: list[Return]) -> tuple[set[int], dict[str, dict[int, int]]]:
    """Spend and shrink leases: which are gone, and what goes back to whom."""
    spends: dict[int, int] = {}
    for row in rows:
        for lease_id, amount in ((row.user_lease, row.from_user), (row.token_lease, row.from_token)):
            if amount:
                spends[lease_id] = spends.get(lease_id, 0) + amount
    back = {lease_id: (kind, owner, amount) for lease_id, kind, owner, amount in returns}
    gone: set[int] = set()
    credits: dict[str, dict[int, int]] = {"user": {}, "token": {}}
    for lease_id in sorted(spends.keys() | back.keys()):
        if lease_id in spends and not connection.execute(_SPEND, {"b_id": lease_id, "n": spends[lease_id]}).rowcount:
            gone.add(lease_id)
        elif lease_id in back:
            kind, owner, amount = back[lease_id]
            if connection.execute(_SHRINK, {"b_id": lease_id, "n": amount}).rowcount:
                credits[kind][owner] = credits[kind].get(owner, 0) + amount
            else:
                gone.add(lease_id)
    for lease_id in gone:  # most are not there any more; one that holds too little is not to be trusted either
        left = connection.execute(_TERMS, {"b_id": lease_id}).one_or_none()
        if left is not None and connection.execute(_END, {"b_id": lease_id}).rowcount:
            credits[left.kind][left.owner_id] = credits[left.kind].get(left.owner_id, 0) + left.amount - left.spent
    return gone, credits


def _collect(connection: Connection, kind: str, rows: list[Row], gone: set[int]) -> None:
    """Debit what leases did not pay; a balance that is too small for it ends at zero, and the rest is written off."""
    unpaid = 0
    for row in sorted(rows, key=lambda r: r.user_id if kind == "user" else r.token_id):
        if kind == "user":
            due = row.cost - (0 if row.user_lease in gone else row.from_user)
            row.written_off = due - _debit(connection, kind, row.user_id, due) if due > 0 else 0
            unpaid += row.written_off
        elif row.limited:
            due = row.cost - (0 if row.token_lease in gone else row.from_token)
            if due > 0:
                _debit(connection, kind, row.token_id, due)
    if unpaid:
        for row in rows:
            if row.written_off:
                connection.execute(_UNCOUNT, {"b_id": row.user_id, "n": row.written_off})


def _debit(connection: Connection, kind: str, owner: int, amount: int) -> int:
    """Take `amount` from a balance, or all that is left of it; returns what was taken."""
    for _ in range(20):
        if connection.execute(_DEBIT[kind], {"b_id": owner, "n": amount}).rowcount:
            return amount
        left = connection.scalar(_LEFT[kind], {"b_id": owner}) or 0
        if left <= 0:
            return 0
        amount = min(amount, left)
    return 0


def _count(connection: Connection, kind: str, rows: list[Row]) -> None:
    """What users and tokens have consumed; before anything else is done to their rows, in the order of their ids."""
    totals: dict[int, list[int]] = {}
    for row in rows:
        total = totals.setdefault(row.user_id if kind == "user" else row.token_id, [0, 0, 0])
        total[0] += row.cost - (row.written_off if kind == "token" else 0)
        total[1] += 1
        total[2] = row.created_at
    if totals and kind == "user":
        connection.execute(_COUNT_USER, [{"b_id": id, "n": n, "k": k} for id, (n, k, _) in sorted(totals.items())])
    elif totals:
        connection.execute(_COUNT_TOKEN, [{"b_id": id, "n": n, "t": t} for id, (n, _, t) in sorted(totals.items())])


SUMS = ("requests", "quota", "prompt_tokens", "completion_tokens", "elapsed_time")


def _roll_up(connection: Connection, rows: list[Row]) -> None:
    hours: dict[tuple[int, int, int, int, str], list[int]] = {}
    for row in rows:
        key = (row.created_at - row.created_at % 3600, row.user_id, row.token_id, row.channel_id, row.model[:191])
        total = hours.setdefault(key, [0, 0, 0, 0, 0])
        for i, value in enumerate((1, row.cost - row.written_off, row.prompt_tokens, row.completion_tokens, row.elapsed)):
            total[i] += value
    names = ("hour", "user_id", "token_id", "channel_id", "model_name", *SUMS)
    if hours:
        values = [dict(zip(names, (*key, *total), strict=True)) for key, total in sorted(hours.items())]
        connection.execute(_upsert(connection.dialect.name), values)


_UPSERTS: dict[str, Any] = {}


def _upsert(dialect: str) -> Any:
    if dialect not in _UPSERTS:
        hours = _hours
        if dialect == "mysql":
            made = mysql.insert(hours)
            _UPSERTS[dialect] = made.on_duplicate_key_update({n: hours.c[n] + made.inserted[n] for n in SUMS})
        else:
            made = (postgresql if dialect == "postgresql" else sqlite).insert(hours)
            keys = [c.name for c in hours.primary_key]
            _UPSERTS[dialect] = made.on_conflict_do_update(
                index_elements=keys, set_={n: hours.c[n] + made.excluded[n] for n in SUMS}
            )
    return _UPSERTS[dialect]


def _write_logs(connection: Connection, rows: list[Row]) -> None:
    values = [_log(row.log, row) for row in rows if row.log is not None]
    if values:
        connection.execute(insert(Log), values)


def _log(log: dict[str, Any], row: Row) -> dict[str, Any]:
    if not row.written_off:
        return log
    content = f"{log['content']} （{row.written_off} 超出余额，未扣除 written off）"
    return log | {"quota": row.cost - row.written_off, "content": content}
