"""Quota that comes in: redemption codes, and top-ups by administrators and payment systems. Each counts once."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from oneapi.actions import Actor, act, amount, check_expiry, columns, record, write_log
from oneapi.db import Session
from oneapi.messages import Refused
from oneapi.models import code, ledger, log, redemption, user
from oneapi.models.redemption import Redemption, Status
from oneapi.models.user import MOST_QUOTA, Role
from oneapi.state import State

LONGEST_NAME, MOST_AT_ONCE = 20, 100
ATTEMPT_SECONDS = 7 * 86400  # how long an attempt to redeem is remembered
PLAIN = re.compile(r"[a-z0-9_.:-]{1,40}")  # keys that no database takes for one another, as MySQL does A and a
DEFAULT_QUOTA = 100  # of a code made without one, as it has always been


def top_up(state: State, actor: Actor, user_id: int, quota: int, *, remark: str = "", key: str = "") -> None:
    """Add to a balance. The same `key` (an idempotency key) adds once, however often it is sent; raises Refused."""
    check_quota(quota)
    if key and not PLAIN.fullmatch(key):
        key = hashlib.sha256(key.encode()).hexdigest()[:40]
    text = remark or f"通过 API 充值 {amount(state, quota)}"
    with act(state) as session:
        row = user.get(session, user_id)
        if row is None:
            raise Refused("user_missing", field="user_id")
        if actor.role < Role.ROOT and (row.role == Role.ROOT or row.id == actor.id):
            raise Refused("no_right_to_top_up", field="user_id")
        if not moved(session, user_id, quota, kind="topup", now=int(state.clock()), key=key, actor=actor.id, note=text):
            _was_made(session, key, user_id, quota)
            return
        write_log(session, state, log.Kind.TOPUP, text, user_id=user_id, username=row.username or "", quota=quota)
        record(session, state, actor, "user.top_up", user_id, after={"quota": quota, "remark": remark})


def check_quota(quota: int) -> None:
    """Raise Refused for a quota that no balance can hold."""
    if quota < 0:
        raise Refused("negative_quota", field="quota")
    if quota > MOST_QUOTA:
        raise Refused("balance_too_high", field="quota", total=quota, most=MOST_QUOTA)


def moved(session: Session, user_id: int, quota: int, **more: Any) -> bool:
    """Move a balance as ledger.move does; raises Refused when it would become too high."""
    try:
        return ledger.move(session, user_id, quota, **more)
    except ledger.TooMuch as error:
        raise Refused("balance_too_high", field="quota", total=error.total, most=MOST_QUOTA) from None


def _was_made(session: Session, key: str, user_id: int, quota: int) -> None:
    """Nothing moved: that is right only when the same top-up was made before."""
    entry = ledger.by_key(session, "topup", key) if key else None
    if entry is None:
        raise Refused("topup_failed")
    if (entry.user_id, entry.amount) != (user_id, quota):
        raise Refused("topup_differs", field="Idempotency-Key")


def redeem(state: State, actor: Actor, key: str, *, attempt: str = "") -> int:
    """Turn a code into quota for the actor and return how much; of many who try at once one wins. Raises Refused.

    `attempt` (an idempotency key) names this attempt for a week: whoever repeats it is told the same, and nothing is added.
    """
    key, now = key.strip(), int(state.clock())
    if not key:
        raise Refused("no_code", field="key")
    with act(state) as session:
        row = redemption.by_key(session, key)
        if row is None:
            raise Refused("redeem_invalid", field="key")
        if attempt and _was_redeemed(session, actor, attempt, key, now=now):
            return row.quota
        if not redemption.use(session, row.id, actor.id, now=now):
            if attempt and _was_redeemed(session, actor, attempt, key, now=now):  # a moment ago, by the same attempt
                return row.quota
            expired = row.status == Status.ENABLED and 0 < (row.expired_time or 0) <= now
            raise Refused("redeem_expired" if expired else "redeem_used", field="key")
        if attempt:
            code.issue(session, "redeem", _subject(actor, attempt), key, expires_at=now + ATTEMPT_SECONDS)
        text = f"通过兑换码充值 {amount(state, row.quota)}"
        if not moved(session, actor.id, row.quota, kind="redeem", now=now, key=str(row.id), actor=actor.id, note=text):
            raise Refused("redeem_used", field="key")
        write_log(session, state, log.Kind.TOPUP, text, user_id=actor.id, username=actor.name, quota=row.quota)
        return row.quota


def _subject(actor: Actor, attempt: str) -> str:
    return f"{actor.id}:{code.digest(attempt)}"


def _was_redeemed(session: Session, actor: Actor, attempt: str, key: str, *, now: int) -> bool:
    """Whether this attempt redeemed this code before; raises Refused when it redeemed another."""
    subject = _subject(actor, attempt)
    if not code.known(session, "redeem", [subject], now=now):
        return False
    if not code.holds(session, "redeem", subject, key, now=now):
        raise Refused("redeem_differs", field="Idempotency-Key")
    return True


def create_codes(
    state: State, actor: Actor, name: str, quota: int = 0, count: int = 1, *, expired_time: int = -1
) -> list[Redemption]:
    """New codes, all worth the same; raises Refused."""
    _check(name, quota)
    check_expiry(expired_time)
    if count <= 0:
        raise Refused("code_count_low", field="count")
    if count > MOST_AT_ONCE:
        raise Refused("code_count_high", field="count")
    now = int(state.clock())
    rows = [
        Redemption(
            user_id=actor.id, key=uuid4().hex, status=Status.ENABLED, name=name, quota=quota or DEFAULT_QUOTA, created_time=now,
            expired_time=expired_time or -1,
        )
        for _ in range(count)
    ]  # fmt: skip
    with act(state) as session:
        session.add_all(rows)
        session.flush()
        facts = {"name": name, "quota": quota or DEFAULT_QUOTA, "count": count}
        record(session, state, actor, "redemption.create", rows[0].id, after=facts)
    return rows


def _check(name: str, quota: int) -> None:
    if not 1 <= len(name) <= LONGEST_NAME:
        raise Refused("code_name_length", field="name")
    check_quota(quota)


def update_code(state: State, actor: Actor, id: int, values: Mapping[str, Any], *, status_only: bool = False) -> Redemption:
    """Change name, quota and expiry of a code, or only whether it is enabled; a used one stays as it is. Raises Refused."""
    with act(state) as session:
        row = redemption.get(session, id)
        before = _shown(row)
        if status_only:
            changed = {"status": values.get("status", 0)}
            if changed["status"] not in (Status.ENABLED, Status.DISABLED):
                raise Refused("invalid_parameter", field="status")
        else:
            changed = {name: values[name] for name in ("name", "quota", "expired_time") if name in values}
            _check(changed.get("name", row.name or ""), changed.get("quota", row.quota))
            check_expiry(changed.get("expired_time"))
        if not redemption.change(session, id, **changed):
            raise Refused("code_is_used")
        session.refresh(row)
        record(session, state, actor, "redemption.update", id, before=before, after=_shown(row))
    return row


def _shown(row: Redemption) -> dict[str, Any]:
    return {name: value for name, value in columns(row).items() if name in ("name", "quota", "status", "expired_time")}


def delete_code(state: State, actor: Actor, id: int) -> None:
    with act(state) as session:
        row = session.get(Redemption, id)
        if row is not None:
            record(session, state, actor, "redemption.delete", id, before=_shown(row))
            redemption.remove(session, id)


def delete_codes(state: State, actor: Actor, status: int) -> int:
    """Remove all codes of one status, e.g. the used ones; returns how many."""
    with act(state) as session:
        gone = redemption.remove_with_status(session, status)
        record(session, state, actor, "redemption.delete_many", "", after={"status": status, "count": gone})
    return gone
