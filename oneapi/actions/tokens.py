"""Tokens: making, changing and removing a person's own keys."""

import secrets
import string
from collections.abc import Mapping
from typing import Any

from oneapi.actions import Actor, act, check_expiry, record
from oneapi.db import Session
from oneapi.fields import MOST
from oneapi.messages import Refused
from oneapi.models import channel, ledger, token
from oneapi.models.token import Status, Token
from oneapi.state import State, networks

WRITABLE = (
    "name", "expired_time", "remain_quota", "unlimited_quota", "models", "subnet", "requests_per_minute", "tokens_per_minute",
    "concurrency",
)  # fmt: skip
LONGEST_NAME = 30  # characters
LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrency")
LETTERS = string.ascii_letters + string.digits
DAY = 86400  # seconds


def new_key() -> str:
    """48 letters and digits, as keys have always been."""
    return "".join(secrets.choice(LETTERS) for _ in range(48))


def create(state: State, actor: Actor, values: Mapping[str, Any], *, by: Actor | None = None) -> Token:
    """A new token of the actor's; raises Refused. `by` is who makes it when that is somebody else: it is written down."""
    given = {name: value for name, value in values.items() if name in WRITABLE}
    given["subnet"] = given.get("subnet") or ""
    _check(given)
    with act(state, "tokens") as session:
        made = add(session, actor.id, int(state.clock()), **given)
        if by is not None:
            record(session, state, by, "token.create", made.id, after={"user_id": actor.id, "name": made.name})
    return made


def add(session: Session, user_id: int, now: int, **values: Any) -> Token:
    """Insert a token; zero expiry means never, as it always has."""
    values["expired_time"] = values.get("expired_time") or -1
    row = Token(user_id=user_id, key=new_key(), status=Status.ENABLED, created_time=now, accessed_time=now, **values)
    session.add(row)
    session.flush()
    return row


def update(state: State, actor: Actor, id: int, values: Mapping[str, Any], *, status_only: bool = False) -> Token:
    """Overwrite a token of the actor's, or only its status. Enabling asks whether it can work at all."""
    status = values.get("status", 0)
    now = int(state.clock())
    with act(state, "tokens") as session:
        row = token.owned(session, id, actor.id)
        if status == Status.ENABLED:
            _check_enabling(session, row, now)
        if status_only:
            if status not in (Status.ENABLED, Status.DISABLED):
                raise Refused("invalid_parameter", field="status")
            row.status = status
        else:
            _overwrite(session, row, {name: values[name] for name in WRITABLE if name in values})
        session.flush()
        session.refresh(row)
    return row


def _overwrite(session: Session, row: Token, given: dict[str, Any]) -> None:
    _check(given)
    if "remain_quota" in given:
        ledger.recall(session, "token", row.id)  # what workers hold of the old budget must not count on top of the new one
    for name, value in given.items():
        setattr(row, name, value)


def _check_enabling(session: Session, row: Token, now: int) -> None:
    left = row.remain_quota + ledger.leased(session, "token", [row.id]).get(row.id, 0)
    if row.status == Status.EXPIRED and -1 < row.expired_time <= now:
        raise Refused("token_expired", field="expired_time")
    if row.status == Status.EXHAUSTED and left <= 0 and not row.unlimited_quota:
        raise Refused("token_exhausted", field="remain_quota")


def _check(values: dict[str, Any]) -> None:
    """Raise Refused for what cannot be stored; tidy the lists."""
    if len(values.get("name") or "") > LONGEST_NAME:
        raise Refused("token_name", field="name")
    if (values.get("remain_quota") or 0) < (-1 if values.get("unlimited_quota") else 0):
        raise Refused("token_quota", field="remain_quota")
    for name in ("remain_quota", *LIMITS):
        if (values.get(name) or 0) < 0 and name != "remain_quota":
            raise Refused("token_quota", field=name)
        if (values.get(name) or 0) > MOST:
            raise Refused("number_range", field=name, low=0, high=MOST)
    check_expiry(values.get("expired_time"))
    if values.get("models"):
        values["models"] = ",".join(channel.split(values["models"]))
    if values.get("subnet"):
        try:
            networks(values["subnet"])
        except ValueError as error:
            raise Refused("token_subnet", field="subnet", error=error) from None
        values["subnet"] = ",".join(channel.split(values["subnet"]))
        if len(values["subnet"]) > 191:
            raise Refused("token_subnet", field="subnet", error="too long")


def delete(state: State, actor: Actor, id: int) -> None:
    """Remove a token of the actor's; raises Missing. What workers hold of its budget goes with it."""
    with act(state, "tokens") as session:
        row = token.owned(session, id, actor.id)
        ledger.recall(session, "token", row.id)
        token.remove(session, id, actor.id)


def of_session(state: State, actor: Actor, name: str) -> Token:
    """The actor's key for what they do in pages: limited by the balance alone, good for a day from now, made when there is none.

    One that had ended or was switched off comes back with other letters, so that no copy of it comes to life.
    """
    now = int(state.clock())
    with act(state, "tokens") as session:
        row = token.passing(session, actor.id, name)
        if row is None:
            values = {"name": name, "remain_quota": -1, "unlimited_quota": True, "expired_time": now + DAY, "subnet": ""}
            return add(session, actor.id, now, **values)
        if row.status != Status.ENABLED or row.expired_time <= now:
            row.key, row.status = new_key(), Status.ENABLED
        row.expired_time = now + DAY
        session.flush()
        session.refresh(row)
    return row


def ensure_default(session: Session, user_id: int, now: int) -> None:
    """The key that everybody starts with: unlimited by itself, so that only the owner's balance counts."""
    add(session, user_id, now, name="default", remain_quota=-1, unlimited_quota=True, models=None, subnet="")
