"""The audit trail: what administrators did, with the difference it made."""

import json
from typing import Any

from flask import Response, request

from oneapi.access import GuardedBlueprint
from oneapi.db import db
from oneapi.models import browse
from oneapi.models.audit import Audit
from oneapi.models.user import Role
from oneapi.pages import lists
from oneapi.pages.render import fragment, page

bp = GuardedBlueprint("audit", __name__)

PAGE = 50


@bp.route("/audit", allow=Role.ROOT)
def index() -> Response:
    view = lists.view("/audit", {"q": None, "noun": None})
    rows, older = browse.audits(db.session(), view.args, before=request.args.get("before", type=int) or 0, limit=PAGE)
    shown: dict[str, Any] = {"rows": [_shown(row) for row in rows], "older": older, "view": view}
    if request.headers.get("HX-Target") == "older":
        return fragment("audit/index.html", "rows", **shown)
    return page("audit/index.html", "list", nouns=[(n, n, None) for n in browse.audit_nouns(db.session())], **shown)


def _shown(row: Audit) -> dict[str, Any]:
    try:
        changed = json.loads(row.difference or "{}")
    except ValueError:
        changed = {}
    return {
        "row": row,
        "changed": [(name, pair[0], pair[1]) for name, pair in changed.items() if isinstance(pair, list) and len(pair) == 2],
    }
