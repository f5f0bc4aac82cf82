"""Deleted rows that can come back for ten minutes. What is deleted stops working at once; only its copy waits."""

import json
import secrets
from collections.abc import Iterable
from typing import Any

from oneapi.actions import Actor, act, columns, record
from oneapi.messages import Refused
from oneapi.models import ability, code, ledger, redemption, sealed, token
from oneapi.models.channel import Channel
from oneapi.state import State

SECONDS = 600
TABLES: dict[str, Any] = {"channel": Channel, "token": token.Token, "redemption": redemption.Redemption}
TOPICS = {"channel": ("channels",), "token": ("tokens",), "redemption": ()}


def remember(state: State, actor: Actor, noun: str, ids: Iterable[int]) -> str:
    """Copy rows that are about to be deleted; returns the secret that brings them back. Tokens must be the actor's own."""
    secret = secrets.token_urlsafe(18)
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
        kept = sealed.seal(json.dumps({"noun": noun, "rows": rows}))
        code.issue(session, "undo", f"{actor.id}:{secret[:8]}", secret, expires_at=int(state.clock()) + SECONDS, data=kept)
    return secret


def restore(state: State, actor: Actor, secret: str) -> tuple[str, list[int]]:
    """Bring deleted rows back under their old ids, once; returns their noun and ids. Raises Refused."""
    with act(state) as session:
        kept = code.take(session, "undo", f"{actor.id}:{secret[:8]}", secret, now=int(state.clock()))
        if kept is None:
            raise Refused("bad_code")
        data = json.loads(sealed.open_(kept))
    noun = data["noun"]
    with act(state, *TOPICS[noun]) as session:
        rows = [TABLES[noun](**row) for row in data["rows"]]
        session.add_all(rows)
        session.flush()
        if noun == "channel":
            ability.rebuild(session, rows)
        for row in rows:
            record(session, state, actor, f"{noun}.restore", row.id)
    return noun, [row["id"] for row in data["rows"]]
