"""The wallet: what is left, codes, buying, inviting, and what moved the balance."""

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from flask import Response, redirect, request
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access
from oneapi.access import actor
from oneapi.actions import accounts, topups
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.fields import split_address
from oneapi.messages import Refused
from oneapi.models import browse
from oneapi.models.user import Role
from oneapi.pages import complaints, explain, texts
from oneapi.pages.render import done, fragment, page, toast

bp = GuardedBlueprint("wallet", __name__)


@bp.route("/topup", allow=Role.USER)
def index() -> Response:
    if "HX-Request" in request.headers and request.headers.get("HX-Target") == "older":
        before = request.args.get("before", type=int) or 0
        return fragment(
            "wallet/index.html",
            "rows",
            moves=browse.movements(db.session(), current_user.id, before=before, limit=26),
            told=explain.said,
        )
    return _show()


def _show(error: str = "") -> Response:
    me, session = current_user.id, db.session()
    data: dict[str, Any] = {
        "moves": browse.movements(session, me, limit=26), "invited": browse.invited(session, me),
        "code": current_user.row.aff_code or "", "error": error, "typed": request.form.get("key", ""), "told": explain.said,
    }  # fmt: skip
    return page("wallet/index.html", "redeem", status=422 if error else 200, **data)


@bp.route("/topup", methods=["POST"], allow=Role.USER, critical=True)
def redeem() -> Response:
    try:
        quota = topups.redeem(access.state(), actor(), request.form.get("key", "").strip())
    except Refused as error:
        return _show(" ".join(complaints.of(error).values()))
    toast(_("%(amount)s added to your balance", amount=texts.money(quota)))
    return done("/topup")


@bp.route("/topup/buy", allow=Role.USER)
def buy() -> Response:
    """To the shop, which is told who buys."""
    link = access.state().settings.top_up_link
    if not link:
        toast(_("The administrator has set no shop. Ask them for a code."), "bad")
        return done("/topup")
    who = {"username": current_user.username, "user_id": current_user.id, "transaction_id": str(uuid4())}
    return redirect(link + ("&" if split_address(link).query else "?") + urlencode(who), 303)  # type: ignore[return-value]


@bp.route("/topup/invite", methods=["POST"], allow=Role.USER)
def invite() -> Response:
    accounts.aff_code(access.state(), actor())
    return done("/topup")
