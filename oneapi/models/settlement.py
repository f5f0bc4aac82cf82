"""The SQL of settlements: one transaction charges everybody concerned. See relay/ledger.py for the story."""

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from oneapi.models.channel import Channel
from oneapi.models.direct import Direct
from oneapi.models.ledger import Entry, Lease
from oneapi.models.log import Log
from oneapi.models.rollup import Hour
from oneapi.models.token import Token
from oneapi.models.upsert import upsert
from oneapi.models.user import User


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


Return = tuple[int, str, int, int]  # lease, kind, owner and the quota that goes back from the one to the other


def unwritten(connection: Connection, rows: list[Row]) -> list[Row]:
    """The rows whose request id the ledger does not hold yet."""
    known = set(connection.scalars(select(Entry.request_id).where(Entry.request_id.in_([row.request_id for row in rows]))))
    return [row for row in rows if row.request_id not in known]


def _entry(row: Row) -> dict[str, Any]:
    return {
        "request_id": row.request_id, "created_at": row.created_at, "kind": "consume", "user_id": row.user_id,
        "token_id": row.token_id, "channel_id": row.channel_id, "amount": row.written_off - row.cost,
        "written_off": row.written_off, "actor_id": 0, "note": "",
    }  # fmt: skip


_leases, _users, _tokens, _channels = (cast(Table, m.__table__) for m in (Lease, User, Token, Channel))
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


_INSERT_ENTRY, _INSERT_LOG = insert(cast(Table, Entry.__table__)), insert(cast(Table, Log.__table__))
# A log row with nothing in it: drivers, unlike SQLAlchemy, fill no gap.
_BLANK = {c.name: c.default.arg if c.default else None for c in cast(Any, Log.__table__).columns if c.name != "id"}


def charge(connection: Direct, rows: list[Row], returns: list[Return]) -> set[int]:
    """Move leases, balances and counters, and write the ledger; returns leases that turned out to be gone, and are now.

    Tables and rows are touched in one order, so that workers rarely deadlock.
    """
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
    if rows:
        connection.execute(_INSERT_ENTRY, [_entry(row) for row in rows])
    return gone


def _take(connection: Direct, rows: list[Row], returns: list[Return]) -> tuple[set[int], dict[str, dict[int, int]]]:
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


def _collect(connection: Direct, kind: str, rows: list[Row], gone: set[int]) -> None:
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


def _debit(connection: Direct, kind: str, owner: int, amount: int) -> int:
    """Take `amount` from a balance, or all that is left of it; returns what was taken."""
    for _ in range(20):
        if connection.execute(_DEBIT[kind], {"b_id": owner, "n": amount}).rowcount:
            return amount
        left = connection.scalar(_LEFT[kind], {"b_id": owner}) or 0
        if left <= 0:
            return 0
        amount = min(amount, left)
    return 0


def _count(connection: Direct, kind: str, rows: list[Row]) -> None:
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


def _roll_up(connection: Direct, rows: list[Row]) -> None:
    hours: dict[tuple[int, int, int, int, str], list[int]] = {}
    for row in rows:
        key = (row.created_at - row.created_at % 3600, row.user_id, row.token_id, row.channel_id, row.model[:191])
        total = hours.setdefault(key, [0, 0, 0, 0, 0])
        for i, value in enumerate((1, row.cost - row.written_off, row.prompt_tokens, row.completion_tokens, row.elapsed)):
            total[i] += value
    names = ("hour", "user_id", "token_id", "channel_id", "model_name", *SUMS)
    if hours:
        values = [dict(zip(names, (*key, *total), strict=True)) for key, total in sorted(hours.items())]
        connection.execute(_add_up(connection.dialect.name), values)


_UPSERTS: dict[str, Any] = {}


def _add_up(dialect: str) -> Any:
    if dialect not in _UPSERTS:
        _UPSERTS[dialect] = upsert(dialect, Hour, add=SUMS)
    return _UPSERTS[dialect]


def write_logs(connection: Direct, rows: list[Row]) -> None:
    insert_logs(connection, [_log(row.log, row) for row in rows if row.log is not None])


def insert_logs(connection: Direct, values: list[dict[str, Any]]) -> None:
    """Log rows by the names of their columns; what a row does not name is empty."""
    if values:
        connection.execute(_INSERT_LOG, [_BLANK | row for row in values])


def _log(log: dict[str, Any], row: Row) -> dict[str, Any]:
    if row.written_off:
        content = f"{log['content']} （{row.written_off} 超出余额，未扣除 written off）"
        log = log | {"quota": row.cost - row.written_off, "content": content}
    return log
