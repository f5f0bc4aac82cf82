"""The form of one channel. What it asks follows the channel's type: the vendor's row names keys, parts and further questions."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Response, request
from flask_babel import gettext as _

from oneapi import access, vendors
from oneapi.access import GuardedBlueprint, actor
from oneapi.actions import channels
from oneapi.catalog import models as catalogue
from oneapi.db import db
from oneapi.fields import Field, Invalid
from oneapi.messages import Refused
from oneapi.models import channel
from oneapi.models.channel import Channel
from oneapi.models.user import Role
from oneapi.pages import complaints, texts
from oneapi.pages.render import back, done, sheet, toast
from oneapi.vendors.contract import Vendor
from oneapi.wire import VendorError

bp = GuardedBlueprint("channel_form", __name__)

PASSES_ANY_MODEL = 43  # the type that only passes requests on

SECTIONS = {
    "basics": ("type", "name", "group", "tag", "remark"),
    "credentials": ("key", "base_url"),
    "models": ("models", "model_mapping"),
    "routing": ("priority", "weight", "test_model"),
    "advanced": ("system_prompt", "parameters", "proxy"),
}


def data(
    row: Channel | None, errors: Mapping[str, str] | None = None, *, type: int = 0, typed: bool = False, **more: Any
) -> dict[str, Any]:
    """What the form shows: what was typed if it was sent, else the channel, else the type's defaults."""
    type = type or (row.type if row is not None else 1)
    vendor = vendors.REGISTRY.get(type) or vendors.REGISTRY[1]
    values = _typed() if typed else _stored(row)
    errors = dict(errors or {})
    counts = {name: sum(field in errors for field in fields) for name, fields in SECTIONS.items()}
    counts["credentials"] += sum(name in errors for name in questions(vendor))
    return {
        "row": row,
        "vendor": vendor,
        "values": values,
        "errors": errors,
        "counts": counts,
        "title": row.name if row is not None else _("New channel"),
        "vendors": choices(),
        "questions": questions(vendor),
        "parts": set(vendor.key_parts),
        "secrets": channels.secret_names(vendor.id),
        "defaults": catalogue.channel_models(vendor.id),
        "known": known_models(),
        "groups": list(access.state().settings.group_ratio),
        "key_hint": _hint(row),
        **more,
    }


def choices() -> list[tuple[int, str]]:
    return sorted(((v.id, v.name) for v in vendors.REGISTRY.values()), key=lambda pair: pair[1].lower())


def known_models() -> list[str]:
    """Every model that a channel has or a catalogue lists: suggestions."""
    names = {m for lane in access.state().snapshot.lanes.values() for m in lane.models}
    return sorted(names | {m for v in vendors.REGISTRY for m in catalogue.channel_models(v)})


def questions(vendor: Vendor) -> dict[str, Field]:
    """The vendor's own questions by config name, parts of a composite key among them."""
    asked = {field.stored_as: field for field in vendor.fields}
    labels = [label.strip() for label in vendor.key_label.split(",")[0].split(vendor.key_split)]
    for part, label in zip(vendor.key_parts, [*labels, *vendor.key_parts[len(labels) :]], strict=False):
        asked.setdefault(part, Field(part, str, "", label, secret=True))
    return asked


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
        "mapping": channel.json_object(row.model_mapping),
    }


def _typed() -> dict[str, Any]:
    form = request.form
    values: dict[str, Any] = {name: form.get(name, "") for name in (*channels.WRITABLE, "proxy", "batch")}
    config = {name.removeprefix("config-"): value for name, value in form.items() if name.startswith("config-")}
    mapping = channel.json_object(form.get("model_mapping"))
    return values | {
        "group": complaints.lines(form.get("group")),
        "models": complaints.lines(form.get("models")),
        "config": config,
        "mapping": mapping,
    }


@bp.route("/channel/add", allow=Role.ADMIN)
def add() -> Response:
    return sheet("channels/form.html", **data(None, type=request.args.get("type", type=int) or 1))


@bp.route("/channel/edit/<int:id>", allow=Role.ADMIN)
def edit(id: int) -> Response:
    return sheet("channels/form.html", **data(channel.get(db.session(), id)))


@bp.route("/channel/fields", methods=["POST"], allow=Role.ADMIN)
def fields() -> Response:
    """The form again for another type: what is common stays as typed."""
    id = request.form.get("id", type=int)
    row = channel.get(db.session(), id) if id else None
    return sheet("channels/form.html", **data(row, type=request.form.get("type", type=int) or 1, typed=True))


@bp.route("/channel/add", methods=["POST"], allow=Role.ADMIN)
def create() -> Response:
    return _save(None)


@bp.route("/channel/edit/<int:id>", methods=["POST"], allow=Role.ADMIN)
def update(id: int) -> Response:
    return _save(channel.get(db.session(), id))


def _save(row: Channel | None) -> Response:
    errors: dict[str, str] = {}
    values = _read(row, errors)
    ids: list[int] = []
    if not errors:
        try:
            if row is None:
                ids = channels.create(access.state(), actor(), values, each_line="batch" in request.form)
            else:
                ids = [channels.update(access.state(), actor(), row.id, values).id]
        except (Refused, Invalid) as error:
            errors = complaints.of(error)
    if errors:
        return sheet(
            "channels/form.html", status=422, **data(row, errors, type=request.form.get("type", type=int) or 1, typed=True)
        )
    name = values["name"]
    toast(
        _("%(name)s saved", name=name)
        if row is not None
        else _("%(n)s channels added", n=len(ids))
        if len(ids) > 1
        else _("%(name)s added", name=name)
    )
    if request.form.get("then") == "test":
        _test(ids[0], name)
    return done(back("/channel"))


def _test(id: int, name: str) -> None:
    result = channels.test(access.state(), id)
    if result.ok:
        toast(_("%(name)s answered in %(time)s", name=name, time=texts.duration(result.seconds * 1000)))
    else:
        toast(_("%(name)s failed: %(error)s", name=name, error=result.message[:300]), "bad")


def _read(row: Channel | None, errors: dict[str, str]) -> dict[str, Any]:
    """The form as the action takes it."""
    form = request.form
    vendor = vendors.REGISTRY.get(form.get("type", type=int) or 0)
    if vendor is None:
        errors["type"] = _("Choose a provider.")
        return {}
    name, models, groups = form.get("name", "").strip(), complaints.lines(form.get("models")), complaints.lines(form.get("group"))
    if not 1 <= len(name) <= 50:
        errors["name"] = _("Give a name of 1 to 50 characters.")
    if not models and vendor.id != PASSES_ANY_MODEL:
        errors["models"] = _("Choose at least one model.")
    if not groups:
        errors["group"] = _("Choose at least one group.")
    for field in ("model_mapping", "parameters"):
        if complaint := json_complaint(form.get(field, "")):
            errors[field] = complaint
    values: dict[str, Any] = {
        k: form.get(k, "").strip()
        for k in ("key", "base_url", "model_mapping", "system_prompt", "tag", "remark", "test_model", "parameters")
    }
    values |= {"type": vendor.id, "name": name, "models": ",".join(models), "group": ",".join(groups)}
    values["priority"] = complaints.whole(form, "priority", errors, low=-(2**53), high=2**53, default=0)
    values["weight"] = complaints.whole(form, "weight", errors, high=2**53, default=0)
    return values | {"config": json.dumps(_config(row, vendor), ensure_ascii=False)}


def _config(row: Channel | None, vendor: Vendor) -> dict[str, Any]:
    """The config with the answers of this form; secrets left empty keep their old value, unknown keys stay."""
    asked = questions(vendor)
    config = {k: v for k, v in (row.settings() if row is not None and row.type == vendor.id else {}).items() if k not in asked}
    for name, field in asked.items():
        text = request.form.get(f"config-{name}", "").strip()
        if field.type is bool:
            config[name] = bool(text)
        elif text:
            config[name] = text
        elif name not in channels.secret_names(vendor.id):
            config.pop(name, None)
    if proxy := request.form.get("proxy", "").strip():
        config["proxy"] = proxy
    else:
        config.pop("proxy", None)
    return config


def json_complaint(text: str) -> str:
    """What is wrong with a JSON object, where, and why probably; empty when nothing is."""
    if not text.strip():
        return ""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        before = text[: error.pos].rstrip()
        if before.endswith(",") and text[error.pos : error.pos + 1] in ("}", "]"):
            why = _("remove the comma before it.")
        elif text[error.pos : error.pos + 1] == "'":
            why = _("use double quotes.")
        else:
            why = _("expected something else here.")
        return _("Line %(line)s, column %(column)s: %(why)s", line=error.lineno, column=error.colno, why=why)
    return "" if isinstance(value, dict) else _("Give a JSON object: names and values in braces.")


@bp.route("/channel/<int:id>/models", methods=["POST"], allow=Role.ADMIN)
def fetch(id: int) -> Response:
    """The models field filled with what the vendor says this key may use."""
    row = channel.get(db.session(), id)
    values = data(row, type=request.form.get("type", type=int) or row.type, typed=True)
    try:
        found = channels.fetch_models(access.state(), id)
        values["values"]["models"] = found
        values["said"] = _("%(n)s models fetched; nothing is saved yet.", n=len(found))
    except VendorError as error:
        values["errors"] = {"models": _("The provider did not list its models: %(error)s", error=error.message or error.kind)}
    return sheet("channels/form.html", **values)
