"""People: the list, their form, their balance, their role and status."""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from flask import Response, abort, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_login import current_user

from oneapi import access
from oneapi.access import actor
from oneapi.actions import people, topups, undo
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.messages import Refused
from oneapi.models import browse, ledger, token, user
from oneapi.models.base import Missing
from oneapi.models.user import Role, User
from oneapi.pages import complaints, lists, recent, texts
from oneapi.pages.render import back, done, fragment, page, sheet, toast

bp = GuardedBlueprint("users", __name__)

# Columns that may be hidden.
COLUMNS = (
    ("group", lazy_gettext("Group")), ("used", lazy_gettext("Used")), ("requests", lazy_gettext("Requests")),
    ("role", lazy_gettext("Role")), ("linked", lazy_gettext("Linked")), ("active", lazy_gettext("Last active")),
)  # fmt: skip
KEYS = 100  # shown at most
FILTERS: dict[str, Any] = {"q": None, "role": ("1", "10", "100"), "status": ("1", "2"), "group": None}


@bp.route("/user", allow=Role.ADMIN)
def index() -> Response:
    view = lists.view("/user", FILTERS, browse.USER_SORTS)
    found = recent.unchanged("users", "facets", browse.user_facets)
    if current_user.role < Role.ROOT:
        found = [facet for facet in found if facet[0] < Role.ROOT]
    total = None if view["q"] else _known(found, view)
    rows, total = browse.users(
        db.session(), view.args, view.sort, viewer=current_user.role, offset=view.offset, limit=view.size, total=total
    )
    extra: dict[str, Any] = {}
    if id := request.args.get("edit", type=int):
        extra = {"opened": "users/form.html", **_form(_row(id))}
    elif "add" in request.args:
        extra = {"opened": "users/form.html", **_form(None)}
    elif id := request.args.get("balance", type=int):
        extra = {"opened": "users/balance.html", **_balance(_row(id))}
    elif id := request.args.get("keys", type=int):
        extra = {"opened": "users/keys.html", **_keys(_row(id))}
    extra |= {"hidden": lists.hidden("user", COLUMNS), "columns": COLUMNS, "may": may, **_facets(found)}
    active = token.last_used(db.session(), [row.id for row, _held in rows])
    return page("users/index.html", "list", view=view.counted(total), rows=rows, active=active, **extra)


def _known(found: list[tuple[int, int, str, int]], view: lists.View) -> int:
    """How many people these filters leave, as the facets tell."""
    wanted = (view["role"], view["status"], view["group"])
    return sum(n for *facet, n in found if all(w in ("", str(f)) for w, f in zip(wanted, facet, strict=True)))


def _facets(found: list[tuple[int, int, str, int]]) -> dict[str, Any]:
    roles, statuses, groups = Counter[int](), Counter[int](), Counter[str]()
    for role, status, group, count in found:
        roles[role] += count
        statuses[status] += count
        groups[group] += count
    return {
        "roles": roles,
        "states": statuses,
        "group_options": [(g, g, n) for g, n in sorted(groups.items())],
        "people": sum(roles.values()),
    }


def may(row: User) -> bool:
    """Whether the reader may change this account: those below, and root everybody."""
    return current_user.role >= Role.ROOT or row.role < current_user.role


def _row(id: int) -> User:
    row = user.get(db.session(), id)
    if row is None or not may(row):
        raise Missing("user", id)
    return row


def _form(row: User | None, errors: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None) -> dict[str, Any]:
    settings = access.state().settings
    return {
        "title": _("New user") if row is None else row.display_name or row.username, "row": row, "errors": errors or {},
        "form": form or {}, "groups": list(settings.group_ratio), "unit": settings.quota_per_unit,
    }  # fmt: skip


@bp.route("/user/add", allow=Role.ADMIN)
def add() -> Response:
    return sheet("users/form.html", **_form(None))


@bp.route("/user/edit/<int:id>", allow=Role.ADMIN)
def edit(id: int) -> Response:
    return sheet("users/form.html", **_form(_row(id)))


@bp.route("/user/add", methods=["POST"], allow=Role.ADMIN)
def create() -> Response:
    errors: dict[str, str] = {}
    values = _read(errors)
    quota = complaints.whole(request.form, "quota", errors, default=0)
    if not errors:
        try:
            made = people.create(access.state(), actor(), values)
            if quota:
                topups.top_up(access.state(), actor(), made.id, quota)
        except Refused as error:
            errors = _said(error)
    if errors:
        return sheet("users/form.html", status=422, **_form(None, errors, request.form))
    toast(_("%(name)s created", name=values["username"]))
    return done(back("/user"))


@bp.route("/user/edit/<int:id>", methods=["POST"], allow=Role.ADMIN)
def update(id: int) -> Response:
    row = _row(id)
    errors: dict[str, str] = {}
    values = _read(errors)
    if not values["password"]:
        values.pop("password")
    if not errors:
        try:
            people.update(access.state(), actor(), id, values)
        except Refused as error:
            errors = _said(error)
    if errors:
        return sheet("users/form.html", status=422, **_form(row, errors, request.form))
    toast(_("%(name)s saved", name=values["username"]))
    return done(back("/user"))


def _read(errors: dict[str, str]) -> dict[str, Any]:
    values = {name: request.form.get(name, "").strip() for name in ("username", "display_name", "password", "group", "email")}
    if not 1 <= len(values["username"]) <= 12:
        errors["username"] = _("Give 1 to 12 characters.")
    return values


def _said(error: Refused) -> dict[str, str]:
    found = complaints.of(error)
    if error.code == "invalid_input" and error.field == "password":
        found["password"] = _("Give 8 to 20 characters.")
    return found


@bp.route("/user/<int:id>/balance", allow=Role.ADMIN)
def balance(id: int) -> Response:
    return sheet("users/balance.html", **_balance(_row(id)))


def _balance(row: User, errors: Mapping[str, str] | None = None) -> dict[str, Any]:
    unit = access.state().settings.quota_per_unit
    return {"title": _("Balance of %(name)s", name=row.username), "row": row, "now": ledger.balance(db.session(), row.id),
            "errors": errors or {}, "form": request.form, "unit": unit}  # fmt: skip


@bp.route("/user/<int:id>/balance", methods=["POST"], allow=Role.ADMIN)
def adjust(id: int) -> Response:
    """Add, subtract or set."""
    row = _row(id)
    errors: dict[str, str] = {}
    quota = complaints.whole(request.form, "quota", errors)
    how = request.form.get("how", "add")
    if not errors:
        try:
            if how == "add":
                key = request.form.get("key", "")
                topups.top_up(access.state(), actor(), id, quota, remark=request.form.get("remark", "").strip(), key=key)
            else:
                left = ledger.balance(db.session(), id)
                people.set_quota(access.state(), actor(), id, quota if how == "set" else max(0, left - quota))
        except Refused as error:
            errors = complaints.of(error)
    if errors:
        return sheet("users/balance.html", status=422, **_balance(row, errors))
    db.session().expire_all()
    toast(_("%(name)s now has %(left)s", name=row.username, left=texts.money(ledger.balance(db.session(), id))))
    return done(back("/user"))


@bp.route("/user/<int:id>/keys", allow=Role.ADMIN)
def keys(id: int) -> Response:
    """To look at: only their owner changes keys or sees them in full."""
    return sheet("users/keys.html", **_keys(_row(id)))


def _keys(row: User) -> dict[str, Any]:
    now = int(access.state().clock())
    found, total = browse.tokens(db.session(), row.id, {}, "-id", offset=0, limit=KEYS, now=now)
    return {"title": _("API keys of %(name)s", name=row.username), "row": row, "keys": found, "keys_total": total, "now": now}


ACTIONS = ("enable", "disable", "promote", "demote", "delete")
OPPOSITE = {"enable": "disable", "disable": "enable", "promote": "demote", "demote": "promote"}


@bp.route("/user/<int:id>/<action>", methods=["POST"], allow=Role.ADMIN)
def manage(id: int, action: str) -> Response:
    row = _row(id)
    if action == "status":
        action = "enable" if request.values.get("status") else "disable"
    if action not in ACTIONS:
        abort(404)
    name = row.username or ""
    try:
        # A copy must be made before; whether root may be deleted at all is asked below.
        secret = undo.remember_user(access.state(), actor(), id) if action == "delete" and row.role < Role.ROOT else ""
        people.manage(access.state(), actor(), name, action)
        said = {
            "enable": _("%(name)s enabled", name=name),
            "disable": _("%(name)s disabled", name=name),
            "delete": _("%(name)s deleted", name=name),
            "promote": _("%(name)s is an administrator now", name=name),
            "demote": _("%(name)s is no administrator any more", name=name),
        }
        toast(said[action], **_undone(id, action, secret))
    except Refused as error:
        toast(" ".join(complaints.of(error).values()), "bad")
    if "HX-Request" in request.headers and action != "delete":
        db.session().expire_all()
        row = _row(id)
        held = ledger.balance(db.session(), id) - row.quota
        return fragment("users/index.html", "row", u=row, held=held, may=may, active=token.last_used(db.session(), [id]))
    return done(back("/user"))


def _undone(id: int, action: str, secret: str) -> dict[str, str]:
    """Where the toast's Undo leads."""
    if action == "delete":
        return {"undo": f"/undo/{quote(secret)}"}
    return {"undo": f"/user/{id}/{OPPOSITE[action]}", "target": f"#user-{id}"}


@bp.route("/user/bulk", methods=["POST"], allow=Role.ADMIN)
def bulk() -> Response:
    ids, action, changed = request.form.getlist("ids", type=int), request.form.get("action", ""), 0
    if request.form.get("all"):
        ids = browse.user_ids(db.session(), lists.view("/user", FILTERS, browse.USER_SORTS).args, current_user.role)
    action = request.form.get("what", "") if action == "change" else action
    value = request.form.get("value", "").strip()
    for id in ids:
        row = user.get(db.session(), id)
        if row is None or not may(row):
            continue
        try:
            if action == "group":
                people.update(access.state(), actor(), id, {"group": value})
            elif action in ("enable", "disable"):
                people.manage(access.state(), actor(), row.username or "", action)
            elif action == "top-up":
                topups.top_up(
                    access.state(), actor(), id, int(value) if value.isdecimal() else abort(422, _("Give a whole number."))
                )
            changed += 1
        except Refused as error:
            toast(f"{row.username}: {' '.join(complaints.of(error).values())}", "bad")
    toast(_("%(n)s users changed", n=changed))
    return done(back("/user"))
