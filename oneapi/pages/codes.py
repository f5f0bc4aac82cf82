"""Redemption codes: made, handed out, switched off."""

import csv
import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from flask import Response, abort, request
from flask_babel import gettext as _

from oneapi import access
from oneapi.access import actor
from oneapi.actions import topups, undo
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.fields import integers
from oneapi.messages import Refused
from oneapi.models import browse, redemption
from oneapi.models.redemption import Redemption, Status
from oneapi.models.user import Role
from oneapi.pages import complaints, lists, spans
from oneapi.pages.overview import cell
from oneapi.pages.render import back, done, fragment, page, sheet, tell, toast

bp = GuardedBlueprint("codes", __name__)

FILTERS: dict[str, Any] = {"q": None, "status": ("1", "2", "3"), "since": ("1", "7", "30"), "name": None}


def _wanted(view: lists.View) -> dict[str, str]:
    """What the filters mean: `since` counts days back from now."""
    return {**view.args, "after": str(_now() - int(view["since"]) * 86400) if view["since"] else ""}


@bp.route("/redemption", allow=Role.ADMIN)
def index() -> Response:
    view = lists.view("/redemption", FILTERS, browse.CODE_SORTS)
    if request.args.get("format") in ("csv", "txt"):
        return _file(browse.code_rows(db.session(), _wanted(view)), request.args["format"])
    rows, total = browse.codes(db.session(), _wanted(view), view.sort, offset=view.offset, limit=view.size)
    unused, worth = browse.unused_codes(db.session())
    extra: dict[str, Any] = {}
    if id := request.args.get("edit", type=int):
        extra = {"opened": "codes/form.html", **_form(redemption.get(db.session(), id))}
    elif "add" in request.args:
        extra = {"opened": "codes/form.html", **_form(None)}
    extra |= {"names": [(name, name, n) for name, n in browse.code_names(db.session())], "now": _now()}
    return page("codes/index.html", "list", view=view.counted(total), rows=rows, unused=unused, worth=worth, **extra)


def _now() -> int:
    return int(access.state().clock())


def _form(
    row: Redemption | None, errors: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
) -> dict[str, Any]:
    title = _("New redemption codes") if row is None else row.name
    return {
        "title": title,
        "row": row,
        "errors": errors or {},
        "form": form or {},
        "unit": access.state().settings.quota_per_unit,
    }


@bp.route("/redemption/add", allow=Role.ADMIN)
def add() -> Response:
    return sheet("codes/form.html", **_form(None))


@bp.route("/redemption/edit/<int:id>", allow=Role.ADMIN)
def edit(id: int) -> Response:
    return sheet("codes/form.html", **_form(redemption.get(db.session(), id)))


def _read(errors: dict[str, str]) -> dict[str, Any]:
    form = request.form
    values = {"name": form.get("name", "").strip(), "quota": complaints.whole(form, "quota", errors, low=1)}
    values["expired_time"] = -1
    if form.get("expired_time", "").strip():
        values["expired_time"] = spans.moment("expired_time")
        if not values["expired_time"]:
            errors["expired_time"] = _("Give a date and a time.")
    return values


@bp.route("/redemption/add", methods=["POST"], allow=Role.ADMIN)
def create() -> Response:
    errors: dict[str, str] = {}
    values = _read(errors)
    count = complaints.whole(request.form, "count", errors, low=1, high=100, default=1)
    if not errors:
        try:
            made = topups.create_codes(
                access.state(), actor(), values["name"], values["quota"], count, expired_time=values["expired_time"]
            )
        except Refused as error:
            errors = complaints.of(error)
    if errors:
        return sheet("codes/form.html", status=422, **_form(None, errors, request.form))
    shown = {"title": _("%(n)s codes created", n=len(made)), "made": made, "ids": ",".join(str(r.id) for r in made)}
    if "HX-Request" in request.headers:
        return tell(sheet("codes/created.html", **shown), {"list:refresh": True})
    return done(f"/redemption/created?ids={shown['ids']}")


@bp.route("/redemption/created", allow=Role.ADMIN)
def created() -> Response:
    """The codes of one making: to copy, print or keep as a file."""
    ids = integers(request.args.get("ids", ""), 100)
    made = browse.codes_by_id(db.session(), ids) or abort(404)
    if request.args.get("format") in ("csv", "txt"):
        return _file(made, request.args["format"])
    return sheet("codes/created.html", title=_("%(n)s codes created", n=len(made)), made=made, ids=",".join(map(str, ids)))


def _file(rows: list[Redemption], kind: str) -> Response:
    name = quote((rows[0].name if rows else None) or "codes")
    head = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}.{kind}"}
    if kind == "txt":
        return Response("\n".join(row.key for row in rows) + "\n", mimetype="text/plain", headers=head)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "name", "code", "status", "quota"])
    for row in rows:
        writer.writerow([row.id, cell(row.name), row.key, row.status, row.quota])
    return Response(out.getvalue(), mimetype="text/csv", headers=head)


@bp.route("/redemption/edit/<int:id>", methods=["POST"], allow=Role.ADMIN)
def update(id: int) -> Response:
    row = redemption.get(db.session(), id)
    errors: dict[str, str] = {}
    values = _read(errors)
    if not errors:
        try:
            topups.update_code(access.state(), actor(), id, values)
        except Refused as error:
            errors = complaints.of(error)
    if errors:
        return sheet("codes/form.html", status=422, **_form(row, errors, request.form))
    toast(_("%(name)s saved", name=values["name"]))
    return done(back("/redemption"))


@bp.route("/redemption/<int:id>/status", methods=["POST"], allow=Role.ADMIN)
def status(id: int) -> Response:
    wanted = Status.ENABLED if request.values.get("status") else Status.DISABLED
    try:
        row = topups.update_code(access.state(), actor(), id, {"status": wanted}, status_only=True)
        said = _("%(name)s enabled", name=row.name) if wanted == Status.ENABLED else _("%(name)s disabled", name=row.name)
        other = "" if wanted == Status.ENABLED else "?status=1"
        toast(said, undo=f"/redemption/{id}/status{other}", target=f"#code-{id}")
    except Refused as error:
        toast(" ".join(complaints.of(error).values()), "bad")
    if "HX-Request" not in request.headers:
        return done(back("/redemption"))
    db.session().expire_all()
    return fragment("codes/index.html", "row", code=redemption.get(db.session(), id), who=None, now=_now())


@bp.route("/redemption/<int:id>/delete", methods=["POST"], allow=Role.ADMIN)
def delete(id: int) -> Response:
    row = redemption.get(db.session(), id)
    name = row.name
    secret = undo.remember(access.state(), actor(), "redemption", [id])
    topups.delete_code(access.state(), actor(), id)
    toast(_("%(name)s deleted", name=name), undo=f"/undo/{quote(secret)}")
    return done(back("/redemption"))


@bp.route("/redemption/used/delete", methods=["POST"], allow=Role.ADMIN)
def delete_used() -> Response:
    toast(_("%(n)s used codes deleted", n=topups.delete_codes(access.state(), actor(), Status.USED)))
    return done(back("/redemption"))


@bp.route("/redemption/keys", allow=Role.ADMIN)
def keys() -> Response:
    """Codes of the ticked rows, one a line, for copying."""
    ids = integers(request.args.get("ids", ""), 1000)
    return Response("\n".join(row.key for row in browse.codes_by_id(db.session(), ids)), mimetype="text/plain")


@bp.route("/redemption/bulk", methods=["POST"], allow=Role.ADMIN)
def bulk() -> Response:
    ids, action = request.form.getlist("ids", type=int), request.form.get("action", "")
    if request.form.get("all"):
        ids = [row.id for row in browse.code_rows(db.session(), _wanted(lists.view("/redemption", FILTERS)))]
    if action == "delete":
        secret = undo.remember(access.state(), actor(), "redemption", ids)
        for id in ids:
            topups.delete_code(access.state(), actor(), id)
        toast(_("%(n)s codes deleted", n=len(ids)), undo=f"/undo/{quote(secret)}")
        return done(back("/redemption"))
    if action not in ("enable", "disable"):
        abort(400)
    wanted, changed = Status.ENABLED if action == "enable" else Status.DISABLED, 0
    for id in ids:
        try:
            topups.update_code(access.state(), actor(), id, {"status": wanted}, status_only=True)
            changed += 1
        except Refused:
            continue
    toast(_("%(n)s codes changed", n=changed))
    return done(back("/redemption"))
