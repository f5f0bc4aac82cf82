"""API keys: a person's own tokens, listed, made, limited, copied and removed."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from flask import Response, abort, g, request
from flask_babel import gettext as _
from flask_login import current_user

from oneapi import access
from oneapi.access import actor
from oneapi.actions import act, record, tokens, undo
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.fields import LARGEST, integer, integers
from oneapi.messages import Refused
from oneapi.models import browse, token
from oneapi.models.token import Status, Token
from oneapi.models.user import Role
from oneapi.pages import complaints, lists, openin, spans
from oneapi.pages.render import back, done, fragment, page, sheet, tell, toast

bp = GuardedBlueprint("tokens", __name__)

FILTERS = {"q": None, "status": ("1", "2", "3", "4", "expiring"), "model": None}
SOON = 7 * spans.DAY


def _now() -> int:
    return int(access.state().clock())


@bp.route("/token", allow=Role.USER)
def index() -> Response:
    view = lists.view("/token", FILTERS, browse.TOKEN_SORTS)
    rows, total = browse.tokens(
        db.session(), current_user.id, view.args, view.sort, offset=view.offset, limit=view.size, now=_now()
    )
    extra: dict[str, Any] = {"models": _models(), "expiries": expiries()}
    if id := request.args.get("edit", type=int):
        extra |= {"opened": "tokens/form.html", **_form(token.owned(db.session(), id, current_user.id))}
    elif "add" in request.args:
        extra |= {"opened": "tokens/form.html", **_form(None)}
    return page("tokens/index.html", "list", view=view.counted(total), rows=rows, now=_now(), soon=SOON, **extra)


def _models() -> list[str]:
    """What this person's group can reach."""
    return list(access.state().snapshot.group_models.get(current_user.row.group or "default", ()))


def _form(row: Token | None, errors: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None) -> dict[str, Any]:
    left = browse.token_left(db.session(), row) if row is not None else 500_000
    return {
        "title": _("Edit API key") if row is not None else _("New API key"), "row": row, "left": left, "form": form or {},
        "errors": errors or {}, "models": _models(), "ip": access.client_ip(), "unit": access.state().settings.quota_per_unit,
    }  # fmt: skip


@bp.route("/token/add", allow=Role.USER)
def add() -> Response:
    return sheet("tokens/form.html", **_form(None))


@bp.route("/token/edit/<int:id>", allow=Role.USER)
def edit(id: int) -> Response:
    return sheet("tokens/form.html", **_form(token.owned(db.session(), id, current_user.id)))


@bp.route("/token/add", methods=["POST"], allow=Role.USER)
def create() -> Response:
    values, errors = _read(None)
    count = complaints.whole(request.form, "count", errors, low=1, high=100, default=1)
    if not errors:
        try:
            names = [values["name"]] if count == 1 else [f"{values['name'][:26]}-{n}" for n in range(1, count + 1)]
            made = [tokens.create(access.state(), actor(), values | {"name": name}) for name in names]
        except Refused as error:
            errors = complaints.of(error)
    if errors:
        return sheet("tokens/form.html", status=422, **_form(None, errors, request.form))
    where = f"/token/created?ids={','.join(str(row.id) for row in made)}"
    if "HX-Request" in request.headers:
        return tell(sheet("tokens/created.html", **_created(made)), {"list:refresh": True})
    return done(where)


@bp.route("/token/edit/<int:id>", methods=["POST"], allow=Role.USER)
def update(id: int) -> Response:
    row = token.owned(db.session(), id, current_user.id)
    values, errors = _read(row)
    if not errors:
        try:
            tokens.update(access.state(), actor(), id, values)
        except Refused as error:
            errors = complaints.of(error)
    if errors:
        return sheet("tokens/form.html", status=422, **_form(row, errors, request.form))
    toast(_("%(name)s saved", name=values["name"]))
    return done(back("/token"))


def _read(row: Token | None) -> tuple[dict[str, Any], dict[str, str]]:
    """The form as the action takes it, and what is wrong with it."""
    form, errors = request.form, dict[str, str]()
    name = form.get("name", "").strip()
    if not name:
        errors["name"] = _("Give the key a name.")
    unlimited = form.get("budget") != "amount"
    values: dict[str, Any] = {
        "name": name, "unlimited_quota": unlimited, "models": ",".join(complaints.lines(form.get("models"))),
        "subnet": ",".join(complaints.lines(form.get("subnet"))), "expired_time": _expiry(row, errors),
    }  # fmt: skip
    if not unlimited:
        values["remain_quota"] = complaints.whole(form, "remain_quota", errors)
    for limit in tokens.LIMITS:
        values[limit] = complaints.whole(form, limit, errors, default=0)
    return values, errors


def _after(seconds: str) -> int:
    """The time so many seconds from now; what is not a number of seconds is beyond every time, so that it is refused."""
    try:
        return _now() + integer(seconds)
    except ValueError:
        return LARGEST


def _expiry(row: Token | None, errors: dict[str, str]) -> int:
    chosen = request.form.get("expiry", "never")
    if chosen == "never":
        return -1
    if chosen.isdecimal():
        return _after(chosen)
    if chosen == "keep" and row is not None:
        return row.expired_time
    at = spans.moment("expired_time")
    if not at:
        errors["expired_time"] = _("Give a date and a time.")
    return at


@bp.route("/token/created", allow=Role.USER)
def created() -> Response:
    ids = integers(request.args.get("ids", ""), 100)
    return sheet("tokens/created.html", **_created([token.owned(db.session(), id, current_user.id) for id in ids] or abort(404)))


def _created(rows: list[Token]) -> dict[str, Any]:
    models = _models()
    return {
        "title": _("API key created") if len(rows) == 1 else _("%(n)s API keys created", n=len(rows)), "made": rows,
        "snippet_key": f"sk-{rows[0].key}" if len(rows) == 1 else "", "links": openin.links(rows[0].key),
        "snippet_model": next((m for m in models if not rows[0].models or m in rows[0].models), ""),
    }  # fmt: skip


@bp.route("/token/<int:id>/key", allow=Role.USER)
def reveal(id: int) -> Response:
    """The key in full, for copying; that it was looked at is written down."""
    row = token.owned(db.session(), id, current_user.id)
    _looked([row])
    return Response(f"sk-{row.key}", mimetype="text/plain")


@bp.route("/token/keys", allow=Role.USER)
def reveal_many() -> Response:
    """Name and key of several, one a line."""
    ids = integers(request.args.get("ids", ""), 100)
    rows = [token.owned(db.session(), id, current_user.id) for id in ids]
    _looked(rows)
    return Response("\n".join(f"{row.name}\tsk-{row.key}" for row in rows), mimetype="text/plain")


def _looked(rows: list[Token]) -> None:
    with act(access.state()) as session:
        for row in rows:
            record(session, access.state(), actor(), "token.reveal", row.id)


@bp.route("/token/<int:id>/open", allow=Role.USER, endpoint="open_in")
@bp.route("/token/open", allow=Role.USER, endpoint="open_chosen")
def open_in(id: int = 0) -> Response:
    """What a client needs to use this key, and links that open some clients with it."""
    row = token.owned(db.session(), id or request.args.get("id", type=int) or 0, current_user.id)
    _looked([row])
    shown = _created([row]) | {"title": _("Use %(name)s in a client", name=row.name or _("unnamed"))}
    return sheet("tokens/open.html", row=row, **shown)


@bp.route("/token/<int:id>/status", methods=["POST"], allow=Role.USER)
def status(id: int) -> Response:
    wanted = Status.ENABLED if request.values.get("status") else Status.DISABLED
    try:
        row = tokens.update(access.state(), actor(), id, {"status": wanted}, status_only=True)
        said = _("%(name)s enabled", name=row.name) if wanted == Status.ENABLED else _("%(name)s disabled", name=row.name)
        back_again = "" if wanted == Status.ENABLED else "?status=1"
        toast(said, undo=f"/token/{id}/status{back_again}", target=f"#token-{id}")
    except Refused as error:
        toast(next(iter(complaints.of(error).values())), "bad")
    return _row(id)


def _row(id: int) -> Response:
    if "HX-Request" not in request.headers:
        return done(back("/token"))
    row = token.owned(db.session(), id, current_user.id)
    db.session().refresh(row)
    return fragment(
        "tokens/index.html", "row", key=row, held=browse.token_left(db.session(), row) - row.remain_quota, now=_now(), soon=SOON
    )


@bp.route("/token/<int:id>/duplicate", methods=["POST"], allow=Role.USER)
def duplicate(id: int) -> Response:
    row = token.owned(db.session(), id, current_user.id)
    values = {name: getattr(row, name) for name in tokens.WRITABLE} | {"name": f"{(row.name or '')[:24]} copy"}
    values["remain_quota"] = max(0, row.remain_quota)
    made = tokens.create(access.state(), actor(), values)
    toast(_("%(name)s created", name=made.name))
    return done(back("/token"))


@bp.route("/token/<int:id>/delete", methods=["POST"], allow=Role.USER)
def delete(id: int) -> Response:
    row = token.owned(db.session(), id, current_user.id)
    name = row.name or ""
    secret = undo.remember(access.state(), actor(), "token", [id])
    tokens.delete(access.state(), actor(), id)
    toast(_("%(name)s deleted", name=name), undo=f"/undo/{quote(secret)}")
    return done(back("/token"))


@bp.route("/token/bulk", methods=["POST"], allow=Role.USER)
def bulk() -> Response:
    ids = request.form.getlist("ids", type=int)
    if request.form.get("all"):
        view = lists.view("/token", FILTERS, browse.TOKEN_SORTS)
        ids = [
            row.id
            for row, _held in browse.tokens(db.session(), current_user.id, view.args, "-id", offset=0, limit=1000, now=_now())[0]
        ]
    for id in ids:
        token.owned(db.session(), id, current_user.id)
    action, failed = request.form.get("action"), 0
    if action == "delete":
        secret = undo.remember(access.state(), actor(), "token", ids)
        for id in ids:
            tokens.delete(access.state(), actor(), id)
        toast(_("%(n)s keys deleted", n=len(ids)), undo=f"/undo/{quote(secret)}")
        return done(back("/token"))
    if action and (action == "models" or action.startswith("expiry:")):
        return _change(ids, action)
    if action not in ("enable", "disable"):
        abort(400)
    wanted = Status.ENABLED if action == "enable" else Status.DISABLED
    for id in ids:
        try:
            tokens.update(access.state(), actor(), id, {"status": wanted}, status_only=True)
        except Refused:
            failed += 1
    toast(_("%(n)s keys enabled", n=len(ids) - failed) if action == "enable" else _("%(n)s keys disabled", n=len(ids) - failed))
    if failed:
        toast(_("%(n)s keys are expired or used up and stay as they are", n=failed), "bad")
    return done(back("/token"))


def _change(ids: list[int], action: str) -> Response:
    """The same expiry or the same models for several keys."""
    seconds = action.partition(":")[2]
    if action == "models":
        values: dict[str, Any] = {"models": ",".join(complaints.lines(request.form.get("models")))}
    else:
        values = {"expired_time": _after(seconds) if seconds.strip("0") else -1}
    try:
        for id in ids:
            tokens.update(access.state(), actor(), id, values)
    except Refused as error:
        toast(next(iter(complaints.of(error).values())), "bad")
        return done(back("/token"))
    toast(_("%(n)s keys changed", n=len(ids)))
    return done(back("/token"))


def expiries() -> list[tuple[int, str]]:
    """Seconds from now and their words; zero is never."""
    return [(0, _("Never")), (3600, _("1 hour")), (86400, _("1 day")), (604800, _("1 week")), (2592000, _("30 days"))]


@bp.route("/undo/<secret>", methods=["POST"], allow=Role.USER)
def take_back(secret: str) -> Response:
    """Bring back what was deleted a moment ago."""
    try:
        noun, _ids = undo.restore(access.state(), actor(), secret)
    except Refused as error:
        late = error.code == "bad_code"
        toast(_("It is too late to undo this.") if late else " ".join(complaints.of(error).values()), "bad")
        return done(back("/dashboard"))
    g.pop("broken", None)
    toast(_("Restored"))
    return done(back({"channel": "/channel", "token": "/token", "redemption": "/redemption", "user": "/user"}[noun]))
