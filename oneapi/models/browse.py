"""Lists as the pages show them: searched, filtered, sorted, counted. Sort names that are not known sort by id."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, cast, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from oneapi.models import deep
from oneapi.models.audit import Audit
from oneapi.models.channel import Channel
from oneapi.models.ledger import MOVES, Entry, Lease, Worker
from oneapi.models.lists import begins, named
from oneapi.models.redemption import Redemption
from oneapi.models.token import Token
from oneapi.models.user import Role, User, matching, visible
from oneapi.models.user import Status as UserStatus

Sorts = Mapping[str, Any]
DEEP = 20_000


def _page(
    session: Session, query: Any, where: Iterable[ColumnElement[bool]], sorts: Sorts, sort: str, id: Any, offset: int, limit: int,
    total: int | None,
) -> tuple[list[Any], int]:  # fmt: skip
    """One page and the total. The ids are sorted and skipped by themselves: only the shown rows are read whole.

    With `total`, what the caller knows already, nothing is counted. Else every id carries the count, so that both are one
    question, and only a page beyond the end asks again.
    """
    where, column = tuple(where), sorts.get(sort.removeprefix("-"), id)
    order = (column.desc() if sort.startswith("-") else column.asc(), id.desc())
    counted = literal(total) if total is not None else func.count().over()
    chosen = select(id.label("id"), counted.label("total")).where(*where).order_by(*order).offset(offset).limit(limit).subquery()
    rows = session.execute(query.join(chosen, chosen.c.id == id).add_columns(chosen.c.total).order_by(*order)).all()
    if rows or not offset or total is not None:
        return [row[0] if len(row) == 2 else tuple(row[:-1]) for row in rows], rows[0][-1] if rows else total or 0
    return [], session.scalar(select(func.count()).select_from(select(id).where(*where).subquery())) or 0


def contains(column: InstrumentedAttribute[Any], text: str) -> ColumnElement[bool]:
    return column.icontains(text, autoescape=True)


def listed(column: Any, name: str) -> ColumnElement[bool]:
    """A condition: the comma list in a column holds exactly this name."""
    return (literal(",") + func.replace(column, " ", "") + literal(",")).contains(f",{name},", autoescape=True)


# Channels

CHANNEL_SORTS: Sorts = {
    "name": Channel.name, "priority": Channel.priority, "weight": Channel.weight, "used": Channel.used_quota,
    "latency": Channel.response_time, "balance": Channel.balance, "status": Channel.status, "id": Channel.id,
}  # fmt: skip


def channel_conditions(args: Mapping[str, str]) -> list[ColumnElement[bool]]:
    wanted = []
    if q := args.get("q"):
        number = [Channel.id == int(q.lstrip("#"))] if q.lstrip("#").isdecimal() and len(q) < 15 else []
        wanted.append(or_(*number, *(contains(c, q) for c in (Channel.name, Channel.base_url, Channel.models, Channel.tag))))
    if args.get("status"):
        wanted.append(Channel.status == int(args["status"]))
    if args.get("type"):
        wanted.append(Channel.type == int(args["type"]))
    if args.get("group"):
        wanted.append(listed(Channel.group, args["group"]))
    if args.get("tag"):
        wanted.append(Channel.tag == args["tag"])
    if args.get("model"):
        wanted.append(listed(Channel.models, args["model"]))
    return wanted


def channels(
    session: Session, args: Mapping[str, str], sort: str, *, offset: int, limit: int, total: int | None = None
) -> tuple[list[Channel], int]:
    where = channel_conditions(args)
    return _page(session, select(Channel), where, CHANNEL_SORTS, sort, Channel.id, offset, limit, total)


def channel_ids(session: Session, args: Mapping[str, str]) -> list[int]:
    return list(session.scalars(select(Channel.id).where(*channel_conditions(args)).order_by(Channel.id)))


def channel_facets(session: Session) -> list[tuple[int, int, str, int]]:
    """(status, type, tag, how many): what the filter menus and the page's head need, in one question."""
    tag = func.coalesce(Channel.tag, "")
    asked = select(Channel.status, Channel.type, tag, func.count()).group_by(Channel.status, Channel.type, Channel.tag)
    return [(int(s), int(t), str(g), int(n)) for s, t, g, n in session.execute(asked)]


def channels_told(session: Session, since: int, limit: int = 100) -> list[Channel]:
    """The channels that were tested, or whose balance was asked for, since a moment; the last ones first."""
    told = or_(Channel.test_time >= since, Channel.balance_updated_time >= since)
    return list(session.scalars(select(Channel).where(told).order_by(Channel.test_time.desc()).limit(limit)))


def channel_count(session: Session, status: int) -> int:
    return session.scalar(select(func.count()).select_from(Channel).where(Channel.status == status)) or 0


def channel_names(session: Session, ids: Iterable[int]) -> dict[int, str]:
    return {id: name or "" for id, name in session.execute(select(Channel.id, Channel.name).where(Channel.id.in_(list(ids))))}


# Tokens

TOKEN_SORTS: Sorts = {
    "name": Token.name, "created": Token.created_time, "used": Token.used_quota, "remaining": Token.remain_quota,
    "last": Token.accessed_time, "expires": Token.expired_time, "id": Token.id,
}  # fmt: skip


def tokens(
    session: Session, user_id: int, args: Mapping[str, str], sort: str, *, offset: int, limit: int, now: int
) -> tuple[list[tuple[Token, int]], int]:
    """(token, what workers hold of its budget and have not spent)."""
    where = [Token.user_id == user_id, *_token_conditions(args, now)]
    return _page(session, select(Token, _held("token", Token.id)), where, TOKEN_SORTS, sort, Token.id, offset, limit, None)


def _held(kind: str, owner: Any) -> Any:
    """What workers hold and have not spent. Cast, because PostgreSQL's sums of integers are decimals."""
    held = select(func.coalesce(func.sum(Lease.amount - Lease.spent), 0)).where(Lease.kind == kind, Lease.owner_id == owner)
    return cast(held.scalar_subquery(), BigInteger)


def _token_conditions(args: Mapping[str, str], now: int) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if q := args.get("q"):
        bare = q.removeprefix("sk-")
        wanted.append(or_(contains(Token.name, q), begins(Token.key, bare), Token.key.endswith(bare, autoescape=True)))
    if args.get("model"):
        wanted.append(or_(Token.models.is_(None), Token.models == "", listed(Token.models, args["model"])))
    expired = (Token.expired_time > 0) & (Token.expired_time < now)
    match args.get("status"):
        case "3":
            wanted.append(or_(Token.status == 3, expired))
        case "expiring":
            wanted.append(Token.expired_time.between(now, now + 7 * 86400))
        case str(status) if status.isdecimal():
            wanted.append(Token.status == int(status))
    return wanted


def token_names(session: Session, user_id: int, limit: int = 200) -> list[str]:
    return [
        n or ""
        for n in session.scalars(select(Token.name).where(Token.user_id == user_id).order_by(Token.id.desc()).limit(limit))
    ]


# People

USER_SORTS: Sorts = {
    "name": User.username, "balance": User.quota, "used": User.used_quota, "requests": User.request_count, "role": User.role,
    "created": User.created_time, "id": User.id,
}  # fmt: skip

UNSORTED = ("balance", "used", "requests")  # no index: every request would have to write it


def users(
    session: Session, args: Mapping[str, str], sort: str, *, viewer: int, offset: int, limit: int, total: int | None = None
) -> tuple[list[tuple[User, int]], int]:
    """(user, what workers hold of the balance and have not spent)."""
    query, where = select(User, _held("user", User.id)), user_conditions(args, viewer)
    if total is not None and (name := sort.removeprefix("-")) in UNSORTED:
        falling = sort.startswith("-")
        rest, offset = deep.start(session, USER_SORTS[name], User.id, where, falling=falling, offset=offset, total=total)
        where += rest
    return _page(session, query, where, USER_SORTS, sort, User.id, offset, limit, total)


def user_conditions(args: Mapping[str, str], viewer: int) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = [User.status != UserStatus.DELETED]
    if viewer < Role.ROOT:  # left out for root: total counts and indexes stay as they are
        wanted.append(visible(viewer))
    if args.get("q"):
        wanted.append(matching(args["q"]))
    for name, column in (("status", User.status), ("role", User.role)):
        if args.get(name):
            wanted.append(column == int(args[name]))
    if args.get("group"):
        wanted.append(User.group == args["group"])
    return wanted


def user_ids(session: Session, args: Mapping[str, str], viewer: int) -> list[int]:
    return list(session.scalars(select(User.id).where(*user_conditions(args, viewer)).order_by(User.id)))


def user_facets(session: Session) -> list[tuple[int, int, str, int]]:
    """(role, status, group, how many)."""
    asked = select(User.role, User.status, User.group, func.count()).where(User.status != UserStatus.DELETED)
    rows = session.execute(asked.group_by(User.role, User.status, User.group))
    return [(int(r), int(s), str(g), int(n)) for r, s, g, n in rows]


def usernames(session: Session, ids: Iterable[int]) -> dict[int, str]:
    return {id: name or "" for id, name in session.execute(select(User.id, User.username).where(User.id.in_(list(ids))))}


def invited(session: Session, user_id: int) -> int:
    return session.scalar(select(func.count()).select_from(User).where(User.inviter_id == user_id)) or 0


def movements(session: Session, user_id: int, *, before: int = 0, limit: int = 25) -> list[Entry]:
    """What moved a balance other than consumption, newest first.

    They are few, so they are all found and sorted; ordered by the bare id, a planner would go through every request instead.
    """
    query = select(Entry).where(Entry.user_id == user_id, Entry.kind.in_(MOVES), Entry.amount != 0)
    if before:
        query = query.where(Entry.id < before)
    return list(session.scalars(query.order_by((Entry.id + 0).desc()).limit(limit)))


# Redemption codes

CODE_SORTS: Sorts = {
    "name": Redemption.name, "amount": Redemption.quota, "created": Redemption.created_time, "redeemed": Redemption.redeemed_time,
    "id": Redemption.id,
}  # fmt: skip


def codes(
    session: Session, args: Mapping[str, str], sort: str, *, offset: int, limit: int
) -> tuple[list[tuple[Redemption, str]], int]:
    """(code, who redeemed it)."""
    query = select(Redemption, User.username).outerjoin(User, User.id == Redemption.redeemed_by)
    return _page(session, query, code_conditions(args), CODE_SORTS, sort, Redemption.id, offset, limit, None)


def code_conditions(args: Mapping[str, str]) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if q := args.get("q"):
        wanted.append(or_(named(Redemption.id, Redemption.name, q), Redemption.key == q))
    if args.get("status"):
        wanted.append(Redemption.status == int(args["status"]))
    if args.get("name"):
        wanted.append(Redemption.name == args["name"])
    if args.get("after"):
        wanted.append(Redemption.created_time >= int(args["after"]))
    return wanted


def code_names(session: Session) -> list[tuple[str, int]]:
    """The names that batches of codes have, the newest first, with how many each."""
    asked = select(Redemption.name, func.count()).group_by(Redemption.name).order_by(func.max(Redemption.id).desc()).limit(50)
    return [(str(name), int(n)) for name, n in session.execute(asked) if name]


def code_rows(session: Session, args: Mapping[str, str]) -> list[Redemption]:
    return list(session.scalars(select(Redemption).where(*code_conditions(args)).order_by(Redemption.id.desc())))


def codes_by_id(session: Session, ids: Iterable[int]) -> list[Redemption]:
    return list(session.scalars(select(Redemption).where(Redemption.id.in_(list(ids))).order_by(Redemption.id)))


def unused_codes(session: Session) -> tuple[int, int]:
    """(how many unused codes there are, what they are worth)."""
    unused = case((Redemption.status == 1, 1), else_=0)
    worth = case((Redemption.status == 1, Redemption.quota), else_=0)
    count, quota = session.execute(select(func.coalesce(func.sum(unused), 0), func.coalesce(func.sum(worth), 0))).one()
    return int(count), int(quota)


# The audit trail


def audits(session: Session, args: Mapping[str, str], *, before: int = 0, limit: int = 50) -> tuple[list[Audit], int]:
    """(some acts, newest first, and before which id older ones may be): DEEP acts are looked at, as no index serves a search."""
    bound = [Audit.id < before] if before else []
    low = session.scalar(select(Audit.id).where(*bound).order_by(Audit.id.desc()).offset(DEEP).limit(1)) or 0
    query = select(Audit).where(Audit.id > low, *bound)
    if args.get("noun"):
        query = query.where(Audit.noun == args["noun"])
    if q := args.get("q"):
        query = query.where(or_(contains(Audit.actor_name, q), contains(Audit.action, q), Audit.noun_id == q))
    rows = list(session.scalars(query.order_by(Audit.id.desc()).limit(limit + 1)))
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else low + 1 if low else 0


def audit_nouns(session: Session) -> list[str]:
    """What the newest acts were about."""
    newest = select(Audit.noun).order_by(Audit.id.desc()).limit(DEEP).subquery()
    return [noun for noun in session.scalars(select(newest.c.noun).distinct().limit(50)) if noun]


def token_left(session: Session, row: Token) -> int:
    """What a token may still spend, leases included."""
    held = select(func.coalesce(func.sum(Lease.amount - Lease.spent), 0)).where(Lease.kind == "token", Lease.owner_id == row.id)
    return row.remain_quota + int(session.scalar(held) or 0)


def workers(session: Session) -> list[Worker]:
    return list(session.scalars(select(Worker).order_by(Worker.alive_at.desc()).limit(50)))
