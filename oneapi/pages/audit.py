"""The audit trail: what administrators did, with the difference it made."""

import json
from typing import Any
from urllib.parse import quote

from flask import Response, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from oneapi.actions import HIDDEN
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.models import browse
from oneapi.models.audit import Audit
from oneapi.models.user import Role
from oneapi.pages import lists
from oneapi.pages.render import fragment, page

bp = GuardedBlueprint("audit", __name__)

PAGE = 50
NOUNS: dict[str, Any] = {
    "channel": lazy_gettext("Channel"),
    "user": lazy_gettext("User"),
    "token": lazy_gettext("API key"),
    "job": lazy_gettext("Job"),
    "redemption": lazy_gettext("Redemption code"),
    "option": lazy_gettext("Setting"),
    "log": lazy_gettext("Logs"),
}
ACTS: dict[str, Any] = {
    "create": lazy_gettext("added"),
    "update": lazy_gettext("edited"),
    "delete": lazy_gettext("deleted"),
    "delete_many": lazy_gettext("deleted in bulk"),
    "restore": lazy_gettext("brought back"),
    "reveal": lazy_gettext("revealed"),
    "begin": lazy_gettext("started"),
    "stop": lazy_gettext("stopped"),
    "enable": lazy_gettext("enabled"),
    "disable": lazy_gettext("disabled"),
    "promote": lazy_gettext("made administrator"),
    "demote": lazy_gettext("made ordinary user"),
    "set_quota": lazy_gettext("balance set"),
    "top_up": lazy_gettext("topped up"),
    "bind": lazy_gettext("linked"),
    "unbind": lazy_gettext("unlinked"),
    "bind_email": lazy_gettext("e-mail linked"),
    "access_token": lazy_gettext("access token made"),
    "reset_password": lazy_gettext("password reset"),
    "update_self": lazy_gettext("changed own account"),
    "end_sessions": lazy_gettext("signed out everywhere"),
    "fetch_models": lazy_gettext("models fetched"),
    "delete_self": lazy_gettext("closed own account"),
}
PLACES = {"channel": "/channel?edit=", "user": "/user?edit=", "redemption": "/redemption?edit=", "option": "/setting?q="}


@bp.route("/audit", allow=Role.ROOT)
def index() -> Response:
    view = lists.view("/audit", {"q": None, "noun": None})
    rows, older = browse.audits(db.session(), view.args, before=request.args.get("before", type=int) or 0, limit=PAGE)
    shown: dict[str, Any] = {"rows": [_shown(row) for row in rows], "older": older, "view": view}
    if request.headers.get("HX-Target") == "older":
        return fragment("audit/index.html", "rows", **shown)
    return page("audit/index.html", "list", nouns=[(n, NOUNS.get(n, n), None) for n in browse.audit_nouns(db.session())], **shown)


def _shown(row: Audit) -> dict[str, Any]:
    try:
        changed = json.loads(row.difference or "{}")
    except ValueError:
        changed = {}
    noun, _dot, act = (row.action or "").partition(".")
    place = PLACES.get(noun, "")
    return {
        "row": row,
        "noun": NOUNS.get(noun, noun),
        "act": ACTS.get(act, act),
        "href": f"{place}{quote(row.noun_id)}" if place and row.noun_id and act != "delete" else "",
        "changed": [(name, *map(_value, pair)) for name, pair in changed.items() if isinstance(pair, list) and len(pair) == 2],
    }


def _value(stored: Any) -> Any:
    return _("(hidden)") if stored == HIDDEN else stored
