"""The SQL of leases and settlements: one transaction charges everybody concerned. See relay/ledger.py for the story."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from gevent.threadpool import ThreadPool
from sqlalchemy import Connection, StaticPool, Table, bindparam, create_engine, delete, func, insert, or_, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session

from oneapi.models.base import Base
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
    user_purse: Any = None
    token_purse: Any = None
    user_lease: int = 0
    token_lease: int = 0
    written_off: int = 0


OWNERS: dict[str, tuple[Any, Any]] = {"user": (User, User.quota), "token": (Token, Token.remain_quota)}


def lease(
    session: Session, worker: str, kind: str, owner: int, held: int, more: int, slice: int, ample: int, now: int
) -> tuple[int, bool, int]:
    """Lease at least `more` quota if there is as much: (how much was got, whether little is left, id of the lease).

    From an ample balance a whole slice is taken; from a small one just what is needed, or all that is left of it.
    """
    model, column = OWNERS[kind]
    for _ in range(20):
        left = session.scalar(select(column).where(model.id == owner)) or 0
        amount = min(max(more, left // slice), left) if left > more * ample else min(more, left)
        if amount <= 0:
            return 0, True, held
        taken = update(model).where(model.id == owner, column >= amount).values({column: column - amount})
        if session.execute(taken, execution_options={"synchronize_session": False}).rowcount:  # type: ignore[attr-defined]
            return amount, left <= more * ample, _grow(session, worker, kind, owner, held, amount, now)
    return 0, True, held


def _grow(session: Session, worker: str, kind: str, owner: int, held: int, amount: int, now: int) -> int:
    if held:
        grown = update(Lease).where(Lease.id == held).values(amount=Lease.amount + amount)
        if session.execute(grown, execution_options={"synchronize_session": False}).rowcount:  # type: ignore[attr-defined]
            return held
    serial = (session.scalar(select(func.max(Lease.serial)).where(Lease.worker == worker)) or 0) + 1
    row = Lease(worker=worker, kind=kind, owner_id=owner, serial=serial, amount=amount, spent=0, created_at=now)
    session.add(row)
    session.flush()
    return row.id


def leased_by_others(session: Session, worker: str, kind: str, owner: int) -> bool:
    """Whether other workers hold something of this balance that may come back."""
    held = select(Lease.id).where(Lease.kind == kind, Lease.owner_id == owner, Lease.worker != worker, Lease.amount > Lease.spent)
    return session.scalar(held.limit(1)) is not None


def leases_of(session: Session, worker: str) -> set[int]:
    return set(session.scalars(select(Lease.id).where(Lease.worker == worker)))


_TERMS = select(Lease.kind, Lease.owner_id, Lease.amount, Lease.spent)


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
    """End the leases of workers that are gone: on this host by their process, elsewhere by their silence."""
    workers = session.execute(select(Worker.id, Worker.host, Worker.pid, Worker.alive_at)).all()
    dead = [w.id for w in workers if (not runs(w.pid) if w.host == host[:191] else w.alive_at < now - DEAD_SECONDS)]
    known = [w.id for w in workers if w.id not in dead]
    orphans = select(Lease.id).where(or_(Lease.worker.in_(dead), Lease.worker.not_in(known)), Lease.created_at < now - 1)
    ended = _end(session, session.scalars(orphans).all())
    if dead:
        session.execute(delete(Worker).where(Worker.id.in_(dead)))
    return ended


class Store:
    """Writes settlements. On SQLite in a thread with a connection of its own, so that the hub never waits for the disk."""

    def __init__(self, databases: Any):
        self.databases = databases
        self._pool: ThreadPool | None = None
        self._engine = databases.engine
        self.sqlite = databases.engine.dialect.name == "sqlite"

    def write(self, rows: list[Row], rests: list[tuple[Any, int]]) -> set[int]:
        """One transaction: charge `rows` and give `rests` (purse, amount) back. Returns leases that turned out to be gone.

        A row whose request id is in the ledger already changes nothing.
        """
        for row in rows:
            row.user_lease = row.user_purse.lease if row.user_purse is not None else row.user_lease
            row.token_lease = row.token_purse.lease if row.token_purse is not None else row.token_lease
        returns = [(purse.lease, purse.kind, purse.owner, amount) for purse, amount in rests]
        if not self.sqlite:
            return self._write(rows, returns)
        if self._pool is None:
            self._pool = ThreadPool(1)
            timeout = self.databases.engine.dialect.create_connect_args(self.databases.url)[1].get("timeout", 5)
            self._engine = create_engine(
                self.databases.url, poolclass=StaticPool, connect_args={"check_same_thread": False, "timeout": timeout}
            )
        return self._pool.apply(self._write, (rows, returns))

    def _write(self, rows: list[Row], returns: list[tuple[int, str, int, int]]) -> set[int]:
        separate = self.databases.separate_logs
        with self._engine.begin() as connection:
            if self.sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            rows = _unwritten(connection, rows)
            gone = _charge(connection, rows)
            for lease_id, kind, owner, amount in returns:
                if not _return(connection, lease_id, kind, owner, amount):
                    gone.add(lease_id)
            if rows:
                _insert(connection, Entry.__tablename__, [_entry(row) for row in rows])
                if not separate:
                    _write_logs(connection, rows)
        if separate and rows:
            with self.databases.log_engine.begin() as connection:
                _write_logs(connection, rows)
        return gone


def _unwritten(connection: Connection, rows: list[Row]) -> list[Row]:
    """The rows whose request id the ledger does not hold yet; only rows from a journal can be there."""
    replayed = [row.request_id for row in rows if row.user_purse is None and row.user_lease]
    if not replayed:
        return rows
    known = set(connection.scalars(select(Entry.request_id).where(Entry.request_id.in_(replayed))))
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


def _charge(connection: Connection, rows: list[Row]) -> set[int]:
    """Move leases, balances and counters. Rows are touched in the order of their ids, so that workers never deadlock."""
    gone: set[int] = set()
    spends: dict[int, int] = {}
    for row in rows:
        for lease_id, amount in ((row.user_lease, row.from_user), (row.token_lease, row.from_token)):
            if amount:
                spends[lease_id] = spends.get(lease_id, 0) + amount
    for lease_id in sorted(spends):
        if not connection.execute(_SPEND, {"b_id": lease_id, "n": spends[lease_id]}).rowcount:
            gone.add(lease_id)
    for row in sorted(rows, key=lambda r: r.user_id):
        paid = 0 if row.user_lease in gone else row.from_user
        if row.cost > paid:
            row.written_off = row.cost - paid - _debit(connection, "user", row.user_id, row.cost - paid)
    for row in sorted(rows, key=lambda r: r.token_id):
        paid = 0 if row.token_lease in gone else row.from_token
        if row.limited and row.cost > paid:
            _debit(connection, "token", row.token_id, row.cost - paid)
    _count(connection, rows)
    return gone


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


def _return(connection: Connection, lease_id: int, kind: str, owner: int, amount: int) -> bool:
    if not connection.execute(_SHRINK, {"b_id": lease_id, "n": amount}).rowcount:
        return False
    connection.execute(_CREDIT[kind], {"b_id": owner, "n": amount})
    return True


def _count(connection: Connection, rows: list[Row]) -> None:
    users: dict[int, list[int]] = {}
    tokens: dict[int, list[int]] = {}
    channels: dict[int, int] = {}
    for row in rows:
        of_user = users.setdefault(row.user_id, [0, 0])
        of_user[0] += row.cost - row.written_off
        of_user[1] += 1
        of_token = tokens.setdefault(row.token_id, [0, 0])
        of_token[0] += row.cost - row.written_off
        of_token[1] = row.created_at
        channels[row.channel_id] = channels.get(row.channel_id, 0) + row.cost
    for statement, values in (
        (_COUNT_USER, [{"b_id": id, "n": n, "k": k} for id, (n, k) in sorted(users.items())]),
        (_COUNT_TOKEN, [{"b_id": id, "n": n, "t": t} for id, (n, t) in sorted(tokens.items())]),
        (_COUNT_CHANNEL, [{"b_id": id, "n": n} for id, n in sorted(channels.items())]),
    ):
        if values:
            connection.execute(statement, values)
    _roll_up(connection, rows)


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
    values = [row.log for row in rows if row.log is not None]
    for row in rows:
        if row.log is not None and row.written_off:
            row.log["quota"] = row.cost - row.written_off
            row.log["content"] += f" （{row.written_off} 超出余额，未扣除 written off）"
    _insert(connection, Log.__tablename__, values)


_INSERTS: dict[tuple[str, str], tuple[str, list[str] | None]] = {}


def _insert(connection: Connection, table: str, values: list[dict[str, Any]]) -> None:
    """Insert plain values with the statement compiled once: what the ORM does per row would cost more than the database."""
    if not values:
        return
    key = (connection.dialect.name, table)
    if key not in _INSERTS:
        compiled = insert(Base.metadata.tables[table]).compile(dialect=connection.dialect, column_keys=list(values[0]))
        _INSERTS[key] = (str(compiled), compiled.positiontup if compiled.positional else None)
    statement, order = _INSERTS[key]
    connection.exec_driver_sql(statement, values if order is None else [tuple(row[name] for name in order) for row in values])
