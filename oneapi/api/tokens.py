"""Tokens: one's own keys."""

from typing import Any

from flask import Response, request

from oneapi import access
from oneapi.access import current_user
from oneapi.actions import tokens
from oneapi.api import envelope, shapes
from oneapi.db import db
from oneapi.models import ledger, token
from oneapi.models.token import Token
from oneapi.models.user import Role

routes = envelope.resource("token", "/token")

FIELDS: dict[str, type] = {
    "id": int, "status": int, "name": str, "expired_time": int, "remain_quota": int, "unlimited_quota": bool, "models": str,
    "subnet": str, "requests_per_minute": int, "tokens_per_minute": int, "concurrency": int,
}  # fmt: skip
# What a change overwrites even when it does not mention it, as it has always done.
OVERWRITTEN: dict[str, Any] = {
    "name": "", "expired_time": 0, "remain_quota": 0, "unlimited_quota": False, "models": None, "subnet": None,
}  # fmt: skip


def _shown(rows: list[Token]) -> list[dict[str, Any]]:
    leased = ledger.leased(db.session(), "token", [row.id for row in rows]) if rows else {}
    return [shapes.token(row, leased.get(row.id, 0)) for row in rows]


@routes.route("/", allow=Role.USER)
@envelope.says("[Token]", query=("p", "page_size", "order"))
def get_tokens() -> Response:
    """One's own tokens, newest first or by `order`."""
    page, order = envelope.page(), request.args.get("order", "")
    rows, total = token.page(db.session(), current_user.id, order=order, offset=page.offset, limit=page.limit)
    return envelope.listing(_shown(rows), total)


@routes.route("/search", allow=Role.USER)
@envelope.says("[Token]", query=("keyword", "page_size"))
def search_tokens() -> Response:
    """One's own tokens by the beginning of their name."""
    most = envelope.most_found()
    rows, total = token.page(db.session(), current_user.id, keyword=envelope.word("keyword"), limit=most)
    return envelope.listing(_shown(rows), total)


@routes.route("/<id>", allow=Role.USER)
@envelope.says("Token")
def get_token(id: str) -> Response:
    """One of one's own tokens."""
    return envelope.ok(_shown([token.owned(db.session(), envelope.id_of(id), current_user.id)])[0])


@routes.route("/", methods=["POST"], allow=Role.USER)
@envelope.says("Token", takes=FIELDS)
def create_token() -> Response:
    """Make a token; its key is in the answer."""
    return envelope.ok(shapes.token(tokens.create(access.state(), access.actor(), envelope.decode(FIELDS))))


@routes.route("/", methods=["PUT"], allow=Role.USER)
@envelope.says("Token", takes=FIELDS, query=("status_only",))
def update_token() -> Response:
    """Overwrite a token, or with `status_only` enable or disable it."""
    status_only = bool(request.args.get("status_only"))
    given = OVERWRITTEN | envelope.decode(FIELDS)
    row = tokens.update(access.state(), access.actor(), given.get("id", 0), given, status_only=status_only)
    return envelope.ok(_shown([row])[0])


@routes.route("/<id>", methods=["DELETE"], allow=Role.USER)
@envelope.says("")
def delete_token(id: str) -> Response:
    """Remove a token."""
    tokens.delete(access.state(), access.actor(), envelope.id_of(id))
    return envelope.ok()
