"""Users as administrators manage them, and top-ups by administrators and payment systems."""

from flask import Response, request

from oneapi import access
from oneapi.actions import people, topups
from oneapi.api import envelope, shapes
from oneapi.db import db
from oneapi.messages import Refused
from oneapi.models import account, ledger
from oneapi.models.user import Role, User

routes = envelope.resource("user", "")

CREATED: dict[str, type] = {"username": str, "password": str, "display_name": str, "role": int, "group": str}
CHANGED: dict[str, type] = {"id": int, "status": int, "email": str, "quota": int, **CREATED}
MANAGED: dict[str, type] = {"username": str, "action": str}
TOP_UP: dict[str, type] = {"user_id": int, "quota": int, "remark": str}


def _shown(rows: list[User]) -> list[dict[str, object]]:
    leased = ledger.leased(db.session(), "user", [row.id for row in rows]) if rows else {}
    return [shapes.person(row, leased.get(row.id, 0)) for row in rows]


@routes.route("/user/", allow=Role.ADMIN)
@envelope.says("[User]", query=("p", "page_size", "order"))
def get_users() -> Response:
    """Users that are not deleted, newest first or by `order`."""
    page, order = envelope.page(), request.args.get("order", "")
    rows, total = account.page(db.session(), viewer=access.current_user.role, order=order, offset=page.offset, limit=page.limit)
    return envelope.listing(_shown(rows), total)


@routes.route("/user/search", allow=Role.ADMIN)
@envelope.says("[User]", query=("keyword", "page_size"))
def search_users() -> Response:
    """Users by id or the beginning of user name, e-mail or display name."""
    most = envelope.most_found()
    rows, total = account.page(db.session(), viewer=access.current_user.role, keyword=envelope.word("keyword"), limit=most)
    return envelope.listing(_shown(rows), total)


@routes.route("/user/<id>", allow=Role.ADMIN)
@envelope.says("User")
def get_user(id: str) -> Response:
    """One user below one's own level."""
    return envelope.ok(_shown([people.readable(access.state(), access.actor(), envelope.id_of(id))])[0])


@routes.route("/user/", methods=["POST"], allow=Role.ADMIN)
@envelope.says("", takes=CREATED)
def create_user() -> Response:
    """Make a common account."""
    people.create(access.state(), access.actor(), envelope.decode(CREATED, exact=True))
    return envelope.ok()


@routes.route("/user/", methods=["PUT"], allow=Role.ADMIN)
@envelope.says("", takes=CHANGED)
def update_user() -> Response:
    """Change an account; zero and empty values stay as they are."""
    given = envelope.decode(CHANGED, exact=True)
    if not given.get("id"):
        raise Refused("invalid_parameter", field="id")
    people.update(access.state(), access.actor(), given["id"], {name: value for name, value in given.items() if value})
    return envelope.ok()


@routes.route("/user/<id>", methods=["DELETE"], allow=Role.ADMIN)
@envelope.says("")
def delete_user(id: str) -> Response:
    """Close an account below one's own level."""
    people.delete(access.state(), access.actor(), envelope.id_of(id))
    return envelope.ok()


@routes.route("/user/manage", methods=["POST"], allow=Role.ADMIN)
@envelope.says("User", takes=MANAGED)
def manage_user() -> Response:
    """Do one of disable, enable, delete, promote, demote to the user with a name; answers role and status."""
    given = envelope.decode(MANAGED, exact=True)
    row = people.manage(access.state(), access.actor(), given.get("username", ""), given.get("action", ""))
    return envelope.ok(shapes.role_and_status(row))


@routes.route("/topup", methods=["POST"], allow=Role.ADMIN)
@envelope.says("", takes=TOP_UP, headers=envelope.ONCE)
def top_up() -> Response:
    """Add to a balance. An `Idempotency-Key` header makes repeated calls count once."""
    given = envelope.decode(TOP_UP)
    key, remark = envelope.idempotency_key(), given.get("remark", "")
    topups.top_up(access.state(), access.actor(), given.get("user_id", 0), given.get("quota", 0), remark=remark, key=key)
    return envelope.ok()
