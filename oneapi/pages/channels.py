"""Channels: the list with its inline edits and bulk acts. The form is in channel_form.py, tests in channel_tests.py."""

import csv
import io
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from flask import Response, abort, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from oneapi import access
from oneapi.access import actor
from oneapi.actions import channels, undo
from oneapi.actions import unpriced as actions_unpriced
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.fields import Invalid, integer
from oneapi.messages import Refused
from oneapi.models import browse, channel
from oneapi.models.channel import Channel, Status
from oneapi.models.user import Role
from oneapi.pages import channel_form, complaints, lists, recent, runs, texts
from oneapi.pages.overview import cell
from oneapi.pages.render import back, done, fragment, page, rendered, toast
from oneapi.wire import VendorError

bp = GuardedBlueprint("channels", __name__)

FILTERS: dict[str, Any] = {"q": None, "status": ("1", "2", "3"), "type": None, "group": None, "tag": None, "model": None}


# Columns that may be hidden.
COLUMNS = (
    ("tests", lazy_gettext("Last 20 tests")), ("groups", lazy_gettext("Groups")), ("models", lazy_gettext("Models")),
    ("priority", lazy_gettext("Priority")), ("weight", lazy_gettext("Weight")), ("used", lazy_gettext("Used, balance")),
)  # fmt: skip


def _view() -> lists.View:
    view = lists.view("/channel", FILTERS, browse.CHANNEL_SORTS, "-priority")
    known = not view["type"] or view.number("type") is not None
    return view if known else lists.view("/channel", FILTERS | {"type": ()}, browse.CHANNEL_SORTS, "-priority")


@bp.route("/channel", allow=Role.ADMIN)
def index() -> Response:
    view = _view()
    facets = recent.unchanged("channels", "facets", browse.channel_facets)
    total = None if view["q"] or view["group"] or view["model"] else _known(facets, view)
    rows, total = browse.channels(db.session(), view.args, view.sort, offset=view.offset, limit=view.size, total=total)
    extra: dict[str, Any] = {}
    if id := request.args.get("edit", type=int):
        extra = {"opened": "channels/form.html", **channel_form.data(channel.get(db.session(), id))}
    elif "add" in request.args:
        extra = {"opened": "channels/form.html", **channel_form.asked(request.args.get("add", type=int))}
    elif id := request.args.get("tests", type=int):
        extra = {"opened": "channels/tests.html", **tests(channel.get(db.session(), id))}
    if request.args.get("format") == "csv":
        return _csv(view)
    return page(
        "channels/index.html",
        "list",
        view=view.counted(total),
        rows=rows,
        run=(run := runs.current("channel-tests", "balances")),
        testing=run["progress"].get("at", 0) if run else 0,
        columns=COLUMNS,
        hidden=lists.hidden("channel", COLUMNS),
        **_facets(facets),
        **extra,
    )


def tests(row: Channel) -> dict[str, Any]:
    """What the drawer shows in which the models of a channel are tested."""
    asked = {"kind": request.values.get("kind", ""), "stream": request.values.get("stream", "")}
    return {
        "title": _("Test models of %(name)s", name=row.name or f"#{row.id}"), "row": row, "kinds": kinds(row), "asked": asked,
        "unpriced": unpriced(row), "vendor_title": channel_form.vendor_name(row.type),
    }  # fmt: skip


def kinds(row: Channel) -> list[tuple[str, str]]:
    """The kinds of requests that a test of this channel can be: those its vendor offers."""
    lane = access.state().snapshot.lanes.get(row.id)
    offered = lane.vendor.protocols if lane is not None else ()
    known = {
        "chat": _("Chat"), "completions": _("Completion"), "embeddings": _("Embeddings"), "images": _("Images"),
        "image_edits": _("Image edits"), "speech": _("Speech"), "transcriptions": _("Transcription"), "rerank": _("Rerank"),
        "moderations": _("Moderation"),
    }  # fmt: skip
    return [(kind, words) for kind, words in known.items() if kind in offered]


def unpriced(row: Channel) -> set[str]:
    """Return the models without a price whose requests are refused, or charged as the settings say."""
    state = access.state()
    return set() if actions_unpriced.policy(state, row) == "free" else set(actions_unpriced.of(state, row))


def _known(facets: list[tuple[int, int, str, int]], view: lists.View) -> int:
    """How many channels the filters by status, type and tag leave."""
    wanted = (view["status"], view["type"], view["tag"])
    return sum(n for *facet, n in facets if all(w in ("", str(f)) for w, f in zip(wanted, facet, strict=True)))


def _facets(facets: list[tuple[int, int, str, int]]) -> dict[str, Any]:
    statuses, types, tags = Counter[int](), Counter[int](), Counter[str]()
    for status, type, tag, count in facets:
        statuses[status] += count
        types[type] += count
        tags[tag] += count
    names = {id: channel_form.vendor_name(id) for id in types}
    groups = access.state().settings.group_ratio
    return {
        "statuses": statuses, "vendor_names": names, "types": [(id, names[id], n) for id, n in types.most_common()],
        "tags": [(tag, tag, n) for tag, n in sorted(tags.items()) if tag], "group_options": [(g, g, None) for g in groups],
    }  # fmt: skip


def row(id: int) -> Response:
    """One row anew for htmx, the list otherwise."""
    if "HX-Request" not in request.headers:
        return done(back("/channel"))
    db.session().expire_all()
    return fragment("channels/index.html", "row", **_row(channel.get(db.session(), id)))


def row_html(found: Channel, *, testing: bool) -> str:
    return rendered("channels/index.html", "row", **_row(found), testing=found.id if testing else 0)


def _row(found: Channel) -> dict[str, Any]:
    return {"c": found, "vendor_names": {found.type: channel_form.vendor_name(found.type)}}


@bp.route("/channel/<int:id>/status", methods=["POST"], allow=Role.ADMIN)
def status(id: int) -> Response:
    wanted = Status.ENABLED if request.values.get("status") else Status.DISABLED
    changed = channels.update(access.state(), actor(), id, {"status": wanted})
    said = _("%(name)s enabled", name=changed.name) if wanted == Status.ENABLED else _("%(name)s disabled", name=changed.name)
    other = "" if wanted == Status.ENABLED else "?status=1"
    toast(said, undo=f"/channel/{id}/status{other}", target=f"#channel-{id}")
    return row(id)


@bp.route("/channel/<int:id>/number", methods=["POST"], allow=Role.ADMIN)
def number(id: int) -> Response:
    """Priority or weight, typed into the row."""
    errors: dict[str, str] = {}
    found = channel.get(db.session(), id)
    values = {}
    for name, low in (("priority", -(2**53)), ("weight", 0)):
        if name in request.form:
            values[name] = complaints.whole(request.form, name, errors, low=low, high=2**53)
    if errors:
        toast(" ".join(errors.values()), "bad")
        return row(id)
    if all(getattr(found, name) == value for name, value in values.items()):
        return Response(status=204)
    channels.update(access.state(), actor(), id, values)
    toast(_("%(name)s saved", name=found.name))
    return row(id)


@bp.route("/channel/<int:id>/balance", methods=["POST"], allow=Role.ADMIN)
def balance(id: int) -> Response:
    found = channel.get(db.session(), id)
    try:
        left = channels.refresh_balance(access.state(), id)
        db.session().expire_all()
        toast(
            _(
                "%(name)s has %(left)s left",
                name=found.name,
                left=texts.amount(left, channel.get(db.session(), id).balance_currency),
            )
        )
    except VendorError as error:
        toast(_("%(name)s: %(error)s", name=found.name, error=error.message or error.kind), "bad")
    return row(id)


@bp.route("/channel/<int:id>/delete", methods=["POST"], allow=Role.ADMIN)
def delete(id: int) -> Response:
    name = channel.get(db.session(), id).name or f"#{id}"
    secret = undo.remember(access.state(), actor(), "channel", [id])
    channels.delete(access.state(), actor(), [id])
    toast(_("%(name)s deleted", name=name), undo=f"/undo/{quote(secret)}")
    return done(back("/channel"))


@bp.route("/channel/disabled/delete", methods=["POST"], allow=Role.ADMIN)
def delete_disabled() -> Response:
    ids = [c.id for c in channel.with_status(db.session(), Status.DISABLED, Status.AUTO_DISABLED)]
    secret = undo.remember(access.state(), actor(), "channel", ids)
    count = channels.delete(access.state(), actor(), ids)
    toast(_("%(n)s disabled channels deleted", n=count), undo=f"/undo/{quote(secret)}")
    return done(back("/channel"))


def _ids() -> list[int]:
    if request.form.get("all"):
        return browse.channel_ids(db.session(), _view().args)
    return request.form.getlist("ids", type=int)


@bp.route("/channel/bulk", methods=["POST"], allow=Role.ADMIN)
def bulk() -> Response:
    ids, action = _ids(), request.form.get("action", "")
    if action == "test":
        return runs.start("channel-tests", back("/channel"), ids=ids)
    if action == "delete":
        secret = undo.remember(access.state(), actor(), "channel", ids)
        toast(_("%(n)s channels deleted", n=channels.delete(access.state(), actor(), ids)), undo=f"/undo/{quote(secret)}")
        return done(back("/channel"))
    change = CHANGES.get(request.form.get("what", "") if action == "change" else action) or abort(400)
    failed: list[str] = []
    for id in ids:
        try:
            channels.update(
                access.state(), actor(), id, change(channel.get(db.session(), id), request.form.get("value", "").strip())
            )
        except (Refused, Invalid) as error:
            failed.append(f"#{id}: {' '.join(complaints.of(error).values())}")
    toast(_("%(n)s channels changed", n=len(ids) - len(failed)))
    if failed:
        toast(" · ".join(failed[:3]), "bad")
    return done(back("/channel"))


def _number(text: str) -> int:
    try:
        return integer(text)
    except ValueError:
        abort(422, _("Give a whole number."))


def _models(row: Channel, *, more: str = "", less: str = "") -> str:
    gone = set(complaints.lines(less))
    return ",".join(dict.fromkeys([m for m in row.model_names() if m not in gone] + complaints.lines(more)))


CHANGES: dict[str, Callable[[Channel, str], dict[str, Any]]] = {
    "enable": lambda row, value: {"status": Status.ENABLED},
    "disable": lambda row, value: {"status": Status.DISABLED},
    "groups": lambda row, value: {"group": ",".join(complaints.lines(value))},
    "tag": lambda row, value: {"tag": value},
    "priority": lambda row, value: {"priority": _number(value)},
    "weight": lambda row, value: {"weight": _number(value)},
    "add-models": lambda row, value: {"models": _models(row, more=value)},
    "remove-models": lambda row, value: {"models": _models(row, less=value)},
}


def _csv(view: lists.View) -> Response:
    """Everything the filters show, without keys."""
    out = io.StringIO()
    writer = csv.writer(out)
    columns = (
        "id",
        "name",
        "type",
        "status",
        "group",
        "models",
        "priority",
        "weight",
        "tag",
        "base_url",
        "used_quota",
        "balance",
        "response_time",
    )
    writer.writerow(columns)
    for found in browse.channels(db.session(), view.args, view.sort, offset=0, limit=100_000)[0]:
        writer.writerow([cell(value) if isinstance(value := getattr(found, name), str) else value for name in columns])
    return Response(out.getvalue(), mimetype="text/csv", headers={"Content-Disposition": "attachment; filename=channels.csv"})
