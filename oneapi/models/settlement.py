"""The SQL of settlements: one transaction charges everybody concerned. See relay/ledger.py for the story."""

from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, insert, select, update

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


STORED = tuple(f.name for f in fields(Row) if f.name not in ("user_purse", "token_purse"))  # what a journal keeps of a row

Return = tuple[int, str, int, int]  # lease, kind, owner and the quota that goes back from the one to the other


_KNOWN = select(Entry.written_off).where(Entry.request_id == bindparam("b_id"))
_LOGGED = select(Log.id).where(Log.created_at == bindparam("at"), Log.request_id == bindparam("b_id"))  # by the index of the time


def unwritten(connection: Direct, rows: list[Row]) -> list[Row]:
    """The rows whose request id the ledger does not hold yet; the others learn what was written off."""
    new: list[Row] = []
    for row in rows:
        written_off = connection.scalar(_KNOWN, {"b_id": row.request_id})
        row.written_off = written_off or 0
        if written_off is None:
            new.append(row)
    return new


def unlogged(connection: Direct, rows: list[Row]) -> list[Row]:
    """The rows with a log row that the logs do not hold yet."""
    return [
        row for row in rows
        if row.log is not None
        and connection.scalar(_LOGGED, {"at": row.log.get("created_at", 0), "b_id": row.log.get("request_id", "")}) is None
    ]  # fmt: skip


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
_ENTRY = tuple(c.name for c in cast(Table, Entry.__table__).columns if c.name != "id")
_LOG = tuple(c.name for c in cast(Table, Log.__table__).columns if c.name != "id")
_logged = itemgetter(*_LOG)
# A log row with nothing in it: drivers, unlike SQLAlchemy, fill no gap.
_BLANK = {c.name: c.default.arg if c.default else None for c in cast(Any, Log.__table__).columns if c.name != "id"}

Place = tuple[int, int, int, int, str]  # hour, user, token, channel, model


@dataclass(slots=True)
class Total:
    """What one place has consumed in a batch. `at` is when it was last."""

    requests: int = 0
    quota: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    elapsed_time: int = 0
    at: int = 0


def charge(connection: Direct, rows: list[Row], returns: list[Return]) -> set[int]:
    """Move leases, balances and counters, and write the ledger; returns leases that turned out to be gone, and are now.

    Tables and rows are touched in one order, so that workers rarely deadlock. A batch is looked through as few times as can
    be: of its many rows most are of few places.
    """
    gone, credits = _take(connection, rows, returns)
    sums = _summed(rows)
    channels: dict[int, int] = {}
    for (_, _, _, channel, _), total in sums.items():  # what the vendor took, whoever pays it
        channels[channel] = channels.get(channel, 0) + total.quota
    for kind in ("user", "token"):
        _count(connection, kind, sums)
        for owner, amount in sorted(credits[kind].items()):
            connection.execute(_CREDIT[kind], {"b_id": owner, "n": amount})
        _collect(connection, kind, rows, gone, sums)
    if rows:
        connection.execute(_COUNT_CHANNEL, [{"b_id": id, "n": n} for id, n in sorted(channels.items())])
        _roll_up(connection, sums)
        connection.insert(_INSERT_ENTRY, _ENTRY, [_entry(row) for row in rows])
    return gone


def _entry(row: Row) -> tuple[Any, ...]:
    """The values of _ENTRY."""
    return (
        row.request_id, row.created_at, "consume", row.user_id, row.token_id, row.channel_id, row.written_off - row.cost,
        row.written_off, 0, "",
    )  # fmt: skip


def _place(row: Row) -> Place:
    return row.created_at // 3600, row.user_id, row.token_id, row.channel_id, row.model[:191]


def _summed(rows: list[Row]) -> dict[Place, Total]:
    sums: dict[Place, Total] = {}
    for row in rows:
        total = sums.get(_place(row))
        if total is None:
            total = sums[_place(row)] = Total()
        total.requests += 1
        total.quota += row.cost
        total.prompt_tokens += row.prompt_tokens
        total.completion_tokens += row.completion_tokens
        total.elapsed_time += row.elapsed
        total.at = row.created_at
    return sums


def _take(connection: Direct, rows: list[Row], returns: list[Return]) -> tuple[set[int], dict[str, dict[int, int]]]:
    """Spend and shrink leases: which are gone, and what goes back to whom."""
    spends: dict[int, int] = {}
    for row in rows:
        if row.from_user:
            spends[row.user_lease] = spends.get(row.user_lease, 0) + row.from_user
        if row.from_token:
            spends[row.token_lease] = spends.get(row.token_lease, 0) + row.from_token
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


def _collect(connection: Direct, kind: str, rows: list[Row], gone: set[int], sums: dict[Place, Total]) -> None:
    """Debit what leases did not pay; a balance that is too small for it ends at zero, and the rest is written off."""
    if kind == "token":
        unpaid = [row for row in rows if row.limited and (row.cost > row.from_token or row.token_lease in gone)]
        for row in sorted(unpaid, key=lambda r: r.token_id):
            due = row.cost - (0 if row.token_lease in gone else row.from_token)
            if due > 0:
                _debit(connection, kind, row.token_id, due)
        return
    unpaid = [row for row in rows if row.cost > row.from_user or row.user_lease in gone]
    for row in sorted(unpaid, key=lambda r: r.user_id):
        due = row.cost - (0 if row.user_lease in gone else row.from_user)
        row.written_off = due - _debit(connection, kind, row.user_id, due) if due > 0 else 0
    for row in unpaid:
        if row.written_off:
            sums[_place(row)].quota -= row.written_off
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


def _count(connection: Direct, kind: str, sums: dict[Place, Total]) -> None:
    """What users and tokens have consumed; before anything else is done to their rows, in the order of their ids."""
    totals: dict[int, tuple[int, int, int]] = {}
    for (_, user, token, _, _), total in sums.items():
        owner = user if kind == "user" else token
        n, k, at = totals.get(owner, (0, 0, 0))
        totals[owner] = n + total.quota, k + total.requests, max(at, total.at)
    if totals and kind == "user":
        connection.execute(_COUNT_USER, [{"b_id": id, "n": n, "k": k} for id, (n, k, _) in sorted(totals.items())])
    elif totals:
        connection.execute(_COUNT_TOKEN, [{"b_id": id, "n": n, "t": at} for id, (n, _, at) in sorted(totals.items())])


SUMS = ("requests", "quota", "prompt_tokens", "completion_tokens", "elapsed_time")


def _roll_up(connection: Direct, sums: dict[Place, Total]) -> None:
    values = [
        {"hour": hour * 3600, "user_id": user, "token_id": token, "channel_id": channel, "model_name": model}
        | {name: getattr(total, name) for name in SUMS}
        for (hour, user, token, channel, model), total in sorted(sums.items(), key=lambda item: item[0])
    ]
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
        connection.insert(_INSERT_LOG, _LOG, [_logged(row if len(row) == len(_LOG) else _BLANK | row) for row in values])


def _log(log: dict[str, Any], row: Row) -> dict[str, Any]:
    if row.written_off:
        content = f"{log['content']} （{row.written_off} 超出余额，未扣除 written off）"
        log = log | {"quota": row.cost - row.written_off, "content": content}
    return log
