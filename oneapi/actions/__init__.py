"""Verbs that pages, API, jobs and command line share. Each opens its own transaction, and others see it at once."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from gevent.lock import RLock

from oneapi.db import Session, begin_immediate
from oneapi.messages import Refused
from oneapi.models import audit, log, pool, version
from oneapi.models.user import Role
from oneapi.state import State

# Columns whose values never reach the audit trail, only that they changed.
SECRET = {"password", "key", "access_token", "config", "session_epoch", "ended_sessions"}
HIDDEN = "(hidden)"
LATEST = 253402300799  # the end of the year 9999, UTC seconds
_ALONE = RLock()


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, for permissions and for the audit trail."""

    id: int = 0
    name: str = ""
    role: int = Role.GUEST
    ip: str = ""
    language: str = "en"


SYSTEM = Actor(name="system", role=Role.ROOT)


@contextmanager
def act(state: State, *topics: str) -> Iterator[Session]:
    """A transaction that writes; after it every process notices that `topics` changed. Raise to undo it all."""
    state.databases.release()  # nobody waits for the turn with a connection in hand: its holder needs one
    alone = _in_turn() if state.databases.engine.dialect.name == "sqlite" else nullcontext()
    with alone, state.databases.transaction() as session:
        begin_immediate(session)
        yield session
        for topic in topics:
            version.bump(session, topic)
    if topics:
        state.changed()


def check_expiry(seconds: int | None) -> None:
    """Raise Refused for an expiry that is not a time until the year 9999, such as one in milliseconds; 0 and -1 are never."""
    if not -1 <= (seconds or 0) <= LATEST:
        raise Refused("expiry", field="expired_time", latest=LATEST)


@contextmanager
def _in_turn() -> Iterator[None]:
    """Queue writers here: one that waits inside SQLite holds a thread, and the one it waits for needs a thread to commit."""
    if not _ALONE.acquire(timeout=pool.WAIT_SECONDS):
        raise pool.Busy(f"Other writers did not end within {pool.WAIT_SECONDS:g} seconds.")
    try:
        yield
    finally:
        _ALONE.release()


def columns(row: Any) -> dict[str, Any]:
    """A row's values by column name."""
    return {name: getattr(row, name) for name in row.__mapper__.column_attrs.keys()}  # noqa: SIM118  (no mapping)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What changed, as [old, new] by name; secrets show only that they did."""
    changed = {name: [before.get(name), after.get(name)] for name in {**before, **after} if before.get(name) != after.get(name)}
    return {name: [HIDDEN, HIDDEN] if name in SECRET else pair for name, pair in changed.items()}


def record(
    session: Session, state: State, actor: Actor, action: str, id: int | str = "", *,
    before: Mapping[str, Any] | None = None, after: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Leave an audit row; `action` is noun.verb."""
    changed = difference(before or {}, after or {})
    session.add(
        audit.Audit(
            created_at=int(state.clock()), actor_id=actor.id, actor_name=actor.name, action=action, noun=action.partition(".")[0],
            noun_id=str(id)[:64], difference=json.dumps(changed, ensure_ascii=False) if changed else None, ip=actor.ip[:64],
        )
    )  # fmt: skip


def write_log(session: Session, state: State, kind: int, content: str, **more: Any) -> None:
    """Write a log row, in the same transaction when logs live in the same database, else after its commit."""
    state.databases.later_log(session, log.Log(type=kind, content=content, created_at=int(state.clock()), **more))


def amount(state: State, quota: int) -> str:
    """A quota as logs have always written it: dollars behind a full-width sign, or points."""
    if state.settings.display_in_currency_enabled:
        return f"＄{quota / state.settings.quota_per_unit:.6f} 额度"
    return f"{quota} 点额度"
