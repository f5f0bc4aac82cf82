"""Redemption codes, for administrators."""

from flask import Response, request

from oneapi import access
from oneapi.actions import topups
from oneapi.api import envelope, shapes
from oneapi.db import db
from oneapi.models import redemption
from oneapi.models.user import Role

routes = envelope.resource("redemption", "/redemption")

FIELDS: dict[str, type] = {"id": int, "name": str, "quota": int, "count": int, "status": int, "expired_time": int}


@routes.route("/", allow=Role.ADMIN)
@envelope.says("[Redemption]", query=("p", "page_size"))
def get_redemptions() -> Response:
    """Codes, newest first."""
    page = envelope.page()
    rows, total = redemption.page(db.session(), offset=page.offset, limit=page.limit)
    return envelope.listing(map(shapes.redemption, rows), total)


@routes.route("/search", allow=Role.ADMIN)
@envelope.says("[Redemption]", query=("keyword", "page_size"))
def search_redemptions() -> Response:
    """Codes by id or the beginning of their name."""
    most = envelope.most_found()
    rows, total = redemption.page(db.session(), keyword=envelope.word("keyword"), limit=most)
    return envelope.listing(map(shapes.redemption, rows), total)


@routes.route("/<id>", allow=Role.ADMIN)
@envelope.says("Redemption")
def get_redemption(id: str) -> Response:
    """One code."""
    return envelope.ok(shapes.redemption(redemption.get(db.session(), envelope.id_of(id))))


@routes.route("/", methods=["POST"], allow=Role.ADMIN)
@envelope.says("[string]", takes=FIELDS)
def create_redemptions() -> Response:
    """Make up to a hundred codes; answers their keys."""
    given = envelope.decode(FIELDS)
    name, quota, count = given.get("name", ""), given.get("quota", 0), given.get("count", 0)
    expired_time = given.get("expired_time", -1)
    rows = topups.create_codes(access.state(), access.actor(), name, quota, count, expired_time=expired_time)
    return envelope.ok([row.key for row in rows])


@routes.route("/", methods=["PUT"], allow=Role.ADMIN)
@envelope.says("Redemption", takes=FIELDS, query=("status_only",))
def update_redemption() -> Response:
    """Change name and quota of a code, or with `status_only` enable or disable it."""
    given = envelope.decode(FIELDS)
    status_only = bool(request.args.get("status_only"))
    row = topups.update_code(access.state(), access.actor(), given.get("id", 0), given, status_only=status_only)
    return envelope.ok(shapes.redemption(row))


@routes.route("/<id>", methods=["DELETE"], allow=Role.ADMIN)
@envelope.says("")
def delete_redemption(id: str) -> Response:
    """Remove a code."""
    topups.delete_code(access.state(), access.actor(), envelope.id_of(id))
    return envelope.ok()
