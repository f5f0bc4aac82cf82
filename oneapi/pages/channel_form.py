"""The form of one channel. What it asks follows the channel's type: the vendor's row names keys, parts and further questions."""

from collections.abc import Mapping
from typing import Any

from flask import Response, abort, request
from flask_babel import gettext as _

from oneapi import access, vendors
from oneapi.access import actor
from oneapi.actions import channels, unpriced
from oneapi.catalog import models as catalogue
from oneapi.catalog.notes import NOTES
from oneapi.db import db
from oneapi.doors import GuardedBlueprint
from oneapi.fields import Invalid
from oneapi.messages import Refused
from oneapi.models import channel
from oneapi.models.channel import Channel
from oneapi.models.user import Role
from oneapi.pages import channel_input, channel_prices, complaints, texts
from oneapi.pages.render import back, done, fragment, sheet, tell, toast
from oneapi.relay import paid
from oneapi.wire import VendorError

bp = GuardedBlueprint("channel_form", __name__)

SECTIONS = {
    "basics": ("type", "name", "group", "tag", "remark"),
    "credentials": ("key", "base_url"),
    "models": ("models", "model_mapping"),
    "routing": ("priority", "weight", "test_model"),
    "advanced": ("system_prompt", "parameters", "proxy", "paid_fields"),
}


def data(
    row: Channel | None,
    errors: Mapping[str, str] | None = None,
    *,
    type: int = 0,
    typed: bool = False,
    like: Channel | None = None,
    **more: Any,
) -> dict[str, Any]:
    """What the form shows: what was typed if it was sent, else the channel (or the one it is to be `like`), else defaults."""
    shown = row if row is not None else like
    type = type or (shown.type if shown is not None else 1)
    vendor = vendors.REGISTRY.get(type) or vendors.REGISTRY[1]
    values = channel_input.typed() if typed else _stored(shown)
    if like is not None and not typed:
        values |= {"name": f"{like.name} copy", "kept": set()}
    errors = dict(errors or {})
    counts = {name: sum(field in errors for field in fields) for name, fields in SECTIONS.items()}
    counts["models"] += sum(name.startswith("unpriced-") for name in errors)
    counts["credentials"] += sum(name in errors for name in channel_input.questions(vendor))
    return {
        "row": row,
        "vendor": vendor,
        "vendor_title": vendor_name(vendor.id),
        "note": _(NOTES[vendor.id]) if vendor.id in NOTES else "",
        "key_label": _("API key of the provider") if vendor.key_label == "API key" else _(vendor.key_label),
        "like": like,
        "values": values,
        "errors": errors,
        "counts": counts,
        "title": row.name if row is not None else _("New channel"),
        "vendors": choices(),
        "questions": channel_input.questions(vendor),
        "parts": set(vendor.key_parts),
        "secrets": channels.secret_names(vendor.id),
        "paid_fields": channel_input.paid_fields(),
        "defaults": catalogue.channel_models(vendor.id),
        "known": known_models(),
        "groups": list(access.state().settings.group_ratio),
        "key_hint": _hint(row),
        **channel_prices.data(row),
        **more,
    }


def vendor_name(type: int) -> str:
    """A type as the reader's language calls it."""
    return _(vendors.REGISTRY[type].name) if type in vendors.REGISTRY else f"#{type}"


def choices() -> list[tuple[int, str, str]]:
    """(type, name in the reader's language, other names it is found by) of every type."""
    found = ((v.id, vendor_name(v.id), f"{v.name} {v.slug}") for v in vendors.REGISTRY.values())
    return sorted(found, key=lambda choice: choice[2].lower())


def known_models() -> list[str]:
    """Every model that a channel has or a catalogue lists: suggestions."""
    names = {m for lane in access.state().snapshot.lanes.values() for m in lane.models}
    return sorted(names | {m for v in vendors.REGISTRY for m in catalogue.channel_models(v)})


def _hint(row: Channel | None) -> str:
    return texts.masked(row.key.strip().splitlines()[-1], 0, 4) if row is not None and row.key and row.key.strip() else ""


def _stored(row: Channel | None) -> dict[str, Any]:
    if row is None:
        return {"group": ["default"], "models": [], "config": {}, "priority": 0, "weight": 1}
    values = {name: getattr(row, name) or "" for name in channels.WRITABLE}
    secrets = channels.secret_names(row.type)
    config = row.settings()
    return values | {
        "key": "",
        "group": row.group_names(),
        "models": row.model_names(),
        "priority": row.priority or 0,
        "weight": row.weight or 0,
        "config": {k: v for k, v in config.items() if k not in secrets},
        "kept": {k for k in config if k in secrets},
        "proxy": config.get("proxy", ""),
        "paid_fields": config.get("paid_fields", paid.CHOICES[0]),
        "mapping": channel.json_object(row.model_mapping),
    }


@bp.route("/channel/add", allow=Role.ADMIN)
def add() -> Response:
    return sheet("channels/form.html", **asked(request.args.get("type", type=int)))


def asked(type: int | None) -> dict[str, Any]:
    """An empty form of a type, or one that is filled in like the channel that `like` names."""
    like = request.args.get("like", type=int)
    return data(None, like=channel.get(db.session(), like)) if like else data(None, type=type or 1)


@bp.route("/channel/edit/<int:id>", allow=Role.ADMIN)
def edit(id: int) -> Response:
    return sheet("channels/form.html", **data(channel.get(db.session(), id)))


@bp.route("/channel/fields", methods=["POST"], allow=Role.ADMIN)
def fields() -> Response:
    """The form again for another type: what is common stays as typed."""
    id = request.form.get("id", type=int)
    row = channel.get(db.session(), id) if id else None
    return sheet("channels/form.html", **data(row, type=request.form.get("type", type=int) or 1, typed=True, like=_like()))


def _like() -> Channel | None:
    id = request.form.get("like", type=int)
    return channel.get(db.session(), id) if id else None


@bp.route("/channel/add", methods=["POST"], allow=Role.ADMIN)
def create() -> Response:
    return _save(None)


@bp.route("/channel/edit/<int:id>", methods=["POST"], allow=Role.ADMIN)
def update(id: int) -> Response:
    return _save(channel.get(db.session(), id))


def _save(row: Channel | None) -> Response:
    errors: dict[str, str] = {}
    values = channel_input.read(row, errors)
    chosen = channel_prices.read(errors)
    ids: list[int] = []
    like = _like() if row is None else None
    if not errors:
        try:
            if like is not None:
                values |= channel_input.copied(like, values)
            if row is None:
                ids = channels.create(access.state(), actor(), values, each_line="batch" in request.form, numbered=True)
            else:
                ids = [channels.update(access.state(), actor(), row.id, values).id]
            errors = channel_prices.store(chosen)
        except (Refused, Invalid) as error:
            errors = complaints.of(error)
    if errors:
        typed = data(row, errors, type=request.form.get("type", type=int) or 1, typed=True, like=like)
        return sheet("channels/form.html", status=422, **typed)
    name = values["name"]
    toast(
        _("%(name)s saved", name=name)
        if row is not None
        else _("%(name)s created, disabled", name=name)
        if like is not None
        else _("%(n)s channels added", n=len(ids))
        if len(ids) > 1
        else _("%(name)s added", name=name)
    )
    if request.form.get("then") == "test":
        return _tested(ids[0], name)
    return _again(ids[0]) if _asks(ids[0]) else done(back("/channel"))


def _asks(id: int) -> bool:
    """Whether a saved channel has models without a price that the form has not listed yet."""
    db.session().expire_all()
    row, state = channel.get(db.session(), id), access.state()
    return unpriced.policy(state, row) != "free" and not channel_prices.listed().issuperset(unpriced.of(state, row))


def _again(id: int, **more: Any) -> Response:
    """The form of what was saved: in its drawer, or without scripts as a page."""
    if "HX-Request" not in request.headers:
        return done(f"/channel/edit/{id}#unpriced")
    db.session().expire_all()
    answer = sheet("channels/form.html", **data(channel.get(db.session(), id), **more))
    answer.headers["HX-Replace-Url"] = f"/channel?edit={id}"
    return tell(answer, {"list:refresh": True})


def _tested(id: int, name: str) -> Response:
    """The form of what was saved, with how its test went at its foot; without scripts the list, which says so."""
    result = channels.test(access.state(), id)
    if "HX-Request" not in request.headers:
        said = _("%(name)s answered in %(time)s", name=name, time=texts.duration(result.seconds * 1000))
        failed = _("%(name)s failed: %(error)s", name=name, error=result.message[:300])
        toast(said if result.ok else failed, "ok" if result.ok else "bad")
        return _again(id) if _asks(id) else done(back("/channel"))
    return _again(id, tested=result)


@bp.route("/channel/<int:id>/models", methods=["POST"], allow=Role.ADMIN)
def fetch(id: int) -> Response:
    """The form with what the vendor says this key may use on offer; without scripts it is filled in."""
    row = channel.get(db.session(), id)
    values = data(row, type=request.form.get("type", type=int) or row.type, typed=True)
    try:
        values["fetched"] = channels.fetch_models(access.state(), actor(), id)
        if "HX-Request" not in request.headers:
            values["values"]["models"] = values["fetched"]
    except VendorError as error:
        values["errors"] = {"models": _("The provider did not list its models: %(error)s", error=error.message or error.kind)}
    return sheet("channels/form.html", **values)


@bp.route("/channel/models", methods=["POST"], allow=Role.ADMIN)
def fetch_new() -> Response:
    """The same for a channel that is not saved yet, with the key as it was typed."""
    values = data(None, type=request.form.get("type", type=int) or 1, typed=True, like=(like := _like()))
    errors: dict[str, str] = {}
    written = channel_input.read(None, errors)
    errors.pop("models", None)  # they are what is asked for
    if errors:
        return sheet("channels/form.html", status=422, **(values | {"errors": errors}))
    try:
        if like is not None:
            written |= channel_input.copied(like, written)
        values["fetched"] = channels.models_for(access.state(), actor(), written)
        if "HX-Request" not in request.headers:
            values["values"]["models"] = values["fetched"]
    except VendorError as error:
        values["errors"] = {"models": _("The provider did not list its models: %(error)s", error=error.message or error.kind)}
    except (Refused, Invalid) as error:
        values["errors"] = complaints.of(error)
    return sheet("channels/form.html", **values)


@bp.app_template_filter("checked")
def checked(attributes: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The attributes of an input whose value is looked at as soon as it is left."""
    return {
        **attributes,
        "hx-post": f"/channel/check/{name}",
        "hx-trigger": "change",
        "hx-target": "closest .field",
        "hx-swap": "morph:outerHTML",
        "hx-sync": "this:replace",
    }


@bp.route("/channel/check/<name>", methods=["POST"], allow=Role.ADMIN)
def check(name: str) -> Response:
    """One field of the form again, with what is wrong in it."""
    if name not in channel_input.CHECKS:
        abort(404)
    vendor = vendors.REGISTRY.get(request.form.get("type", type=int) or 1) or vendors.REGISTRY[1]
    complaint = channel_input.CHECKS[name](request.form.get(name, "").strip(), vendor)
    errors = {name: complaint} if complaint else {}
    return fragment(f"channels/field_{name}.html", "", values=channel_input.typed(), errors=errors, vendor=vendor)
