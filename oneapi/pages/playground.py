"""The playground: a conversation with any model one can reach, by the real relay, with one's own key or the session's."""

from flask import Response, request
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access
from oneapi.access import actor
from oneapi.actions import tokens
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.models import browse, log
from oneapi.models.token import Token
from oneapi.models.user import Role
from oneapi.pages import explain
from oneapi.pages.render import fragment, page
from oneapi.relay import probe

bp = GuardedBlueprint("playground", __name__)

SESSION = "playground"  # the name of the key that stands for the session


@bp.route("/playground", allow=Role.USER)
def index() -> Response:
    state = access.state()
    group = current_user.row.group or "default"
    models = [name for name in state.snapshot.group_models.get(group, ()) if _talks(group, name)]
    now = int(state.clock())
    found, _total = browse.tokens(db.session(), current_user.id, {"status": "1"}, "-last", offset=0, limit=100, now=now)
    wish = request.args.get("model", "")
    return page(
        "playground/index.html", models=models, wish=wish if wish in models else "", words=_words(),
        keys=[row for row, _held in found if not _of_session(row)], key=request.args.get("key", type=int),
    )  # fmt: skip


def _of_session(row: Token) -> bool:
    return row.name == SESSION and row.unlimited_quota and row.expired_time > 0


def _talks(group: str, model: str) -> bool:
    """Whether one can have a conversation with it: no embeddings, pictures or speech."""
    tiers = access.state().snapshot.candidates.get((group, model))
    return tiers is not None and bool(tiers) and probe.kind_of(model, tiers[0].lanes[0]) == "chat"


def _words() -> dict[str, str]:
    """What the script says."""
    return {
        "you": _("You"), "model": _("Model"), "copy": _("Copy"), "edit": _("Edit"), "again": _("Answer again"),
        "stopped": _("Stopped"),
        "first": _("first token after %(n)s", n="{n}"), "whole": _("%(n)s in all", n="{n}"),
        "speed": _("%(n)s tokens/s", n="{n}"), "broken": _("The answer broke off."), "thought": _("Reasoning"),
        "picture": _("Picture %(n)s", n="{n}"), "remove": _("Remove"),
        "toobig": _("Pictures may have at most 8 MB, eight at a time."),
        "offline": _("The server does not answer"),
    }  # fmt: skip


@bp.route("/playground/key", methods=["POST"], allow=Role.USER)
def key() -> Response:
    """The key of who chose none."""
    return Response(f"sk-{tokens.of_session(access.state(), actor(), SESSION).key}", mimetype="text/plain")


@bp.route("/playground/receipt/<id>", allow=Role.USER)
def receipt(id: str) -> Response:
    """What one request of one's own used and cost, once it is in the log."""
    with access.state().databases.logs() as session:
        row = log.recent(session, current_user.id, id)
    unpriced = row is not None and bool(explain.parsed(row).get("unpriced"))
    if row is None:
        return Response(_("No request with this id is in the log yet."), 404, mimetype="text/plain")
    return fragment("playground/index.html", "receipt", status=200 if row else 404, row=row, unpriced=unpriced)
