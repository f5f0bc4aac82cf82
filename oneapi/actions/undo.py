"""Deleted rows that can come back for ten minutes. What is deleted stops working at once; only its copy waits."""

import json
import secrets
from collections.abc import Iterable
from typing import Any

from oneapi.actions import Actor, act, columns, record
from oneapi.db import Session
from oneapi.messages import Refused
from oneapi.models import ability, account, code, ledger, redemption, sealed, token, user
from oneapi.models.channel import Channel
from oneapi.models.user import Role, Status, User
from oneapi.state import State

SECONDS = 600
TABLES: dict[str, Any] = {"channel": Channel, "token": token.Token, "redemption": redemption.Redemption}
TOPICS = {"channel": ("channels",), "token": ("tokens",), "redemption": (), "user": ("users", "tokens")}
LEAST = {"channel": Role.ADMIN, "token": Role.USER, "redemption": Role.ADMIN, "user": Role.ADMIN}
# What closing an account takes off its row. The password, the balance and the books stay there.
TAKEN = ("username", "status", "email", "aff_code", "access_token_hash", *account.IDENTITIES)


def remember(state: State, actor: Actor, noun: str, ids: Iterable[int]) -> str:
    """Copy rows that are about to be deleted; returns the secret that brings them back. Tokens must be the actor's own."""
    with act(state) as session:
        rows = []
        for id in ids:
            if noun == "token":
                token.owned(session, id, actor.id)
                ledger.recall(session, "token", id)
                session.expire_all()
            row = session.get(TABLES[noun], id)
            if row is not None:
                rows.append(columns(row))
        return _keep(session, state, actor, {"noun": noun, "rows": rows})


def remember_user(state: State, actor: Actor, id: int) -> str:
    """The same for an account that is about to be closed, with its keys."""
    with act(state) as session:
        keys = token.of(session, id)
        for key in keys:
            ledger.recall(session, "token", key.id)
        session.expire_all()
        row = user.get(session, id)
        taken = {name: getattr(row, name) for name in TAKEN}
        return _keep(session, state, actor, {"noun": "user", "id": id, "taken": taken, "rows": [columns(key) for key in keys]})


def _keep(session: Session, state: State, actor: Actor, data: dict[str, Any]) -> str:
    secret = secrets.token_urlsafe(18)
    kept, until = sealed.seal(json.dumps(data)), int(state.clock()) + SECONDS
    code.issue(session, "undo", f"{actor.id}:{secret[:8]}", secret, expires_at=until, data=kept)
    return secret


def restore(state: State, actor: Actor, secret: str) -> tuple[str, list[int]]:
    """Bring deleted rows back under their old ids, once; returns their noun and ids. Raises Refused.

    Only whoever deleted them can, and only while their role still allows it.
    """
    with act(state) as session:
        kept = code.take(session, "undo", f"{actor.id}:{secret[:8]}", secret, now=int(state.clock()))
        if kept is None:
            raise Refused("bad_code")
        data = json.loads(sealed.open_(kept))
    noun = data["noun"]
    if actor.role < LEAST[noun]:
        raise Refused("bad_code")
    with act(state, *TOPICS[noun]) as session:
        if noun == "user":
            _reopen(session, actor, data["id"], data["taken"])
            session.add_all(token.Token(**row) for row in data["rows"])
            record(session, state, actor, "user.restore", data["id"])
            return noun, [data["id"]]
        rows = [TABLES[noun](**row) for row in data["rows"]]
        session.add_all(rows)
        session.flush()
        if noun == "channel":
            ability.rebuild(session, rows)
        for row in rows:
            record(session, state, actor, f"{noun}.restore", row.id)
    return noun, [row["id"] for row in data["rows"]]


def _reopen(session: Session, actor: Actor, id: int, taken: dict[str, Any]) -> None:
    """Give a closed account back what it had; what somebody else has taken since stays theirs. Raises Refused."""
    row = session.get(User, id)
    if row is None or row.status != Status.DELETED or (row.role >= actor.role and actor.role != Role.ROOT):
        raise Refused("user_missing")
    if not account.rename(session, row, taken.pop("username")):
        raise Refused("username_taken", field="username")
    back = {name: value for name, value in taken.items() if value is not None and account.free(session, name, value)}
    account.bind(session, id, **back)
