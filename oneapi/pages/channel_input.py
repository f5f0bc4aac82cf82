"""What a channel's form says: read, checked field by field, and as the action takes it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import request
from flask_babel import gettext as _

from oneapi import vendors
from oneapi.access import actor
from oneapi.actions import channel_keys, channels, columns
from oneapi.fields import Field, address, parsed
from oneapi.models import channel
from oneapi.models.channel import Channel, Status
from oneapi.pages import complaints
from oneapi.relay import paid
from oneapi.vendors.contract import Vendor

PASSES_ANY_MODEL = 43  # the type that only passes requests on


def questions(vendor: Vendor) -> dict[str, Field]:
    """The vendor's own questions by config name, parts of a composite key among them."""
    asked = {field.stored_as: field for field in vendor.fields}
    labels = [label.strip() for label in vendor.key_label.split(",")[0].split(vendor.key_split)]
    for part, label in zip(vendor.key_parts, [*labels, *vendor.key_parts[len(labels) :]], strict=False):
        asked.setdefault(part, Field(part, str, "", label, secret=True))
    return asked


def typed() -> dict[str, Any]:
    form = request.form
    names = (*channels.WRITABLE, "proxy", "paid_fields", "batch", "same_key")
    values: dict[str, Any] = {name: form.get(name, "") for name in names}
    config = {name.removeprefix("config-"): value for name, value in form.items() if name.startswith("config-")}
    mapping = channel.json_object(form.get("model_mapping"))
    return values | {
        "group": complaints.lines(form.get("group")),
        "models": complaints.lines(form.get("models")),
        "config": config,
        "mapping": mapping,
    }


def read(row: Channel | None, errors: dict[str, str]) -> dict[str, Any]:
    """The form as the action takes it."""
    form = request.form
    vendor = vendors.REGISTRY.get(form.get("type", type=int) or 0)
    if vendor is None:
        errors["type"] = _("Choose a provider.")
        return {}
    name, models, groups = form.get("name", "").strip(), complaints.lines(form.get("models")), complaints.lines(form.get("group"))
    if not models and vendor.id != PASSES_ANY_MODEL:
        errors["models"] = _("Choose at least one model.")
    if not groups:
        errors["group"] = _("Choose at least one group.")
    for field, check in CHECKS.items():
        if complaint := check(form.get(field, "").strip(), vendor):
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
    choice = request.form.get("paid_fields", paid.CHOICES[0])
    if choice in paid.CHOICES[1:]:
        config["paid_fields"] = choice
    else:
        config.pop("paid_fields", None)
    return config


def paid_fields() -> list[tuple[str, str]]:
    """The values of the option for request fields that cost more, with their names."""
    names = {"priced": _("Pass those with a price"), "all": _("Pass all"), "none": _("Pass none")}
    return [(choice, names[choice]) for choice in paid.CHOICES]


def copied(like: Channel, values: Mapping[str, Any]) -> dict[str, Any]:
    """What makes new values a copy of a channel: it begins switched off, and has the other's credentials only where asked.

    Raises Refused when those would go to another address than the other channel's.
    """
    if "same_key" not in request.form:
        return {"status": Status.DISABLED}
    channel_keys.check(actor(), columns(like), {k: v for k, v in values.items() if k != "key"})
    secrets = {k: v for k, v in like.settings().items() if k in channels.secret_names(like.type)}
    config = secrets | channel.json_object(values.get("config"))
    return {"status": Status.DISABLED, "key": like.key, "config": json.dumps(config, ensure_ascii=False)}


def json_complaint(text: str) -> str:
    """What is wrong with a JSON object, where, and why probably; empty when nothing is."""
    if not text.strip():
        return ""
    try:
        value = parsed(text)
    except json.JSONDecodeError as error:
        before = text[: error.pos].rstrip()
        if before.endswith(",") and text[error.pos : error.pos + 1] in ("}", "]"):
            why = _("remove the comma before it.")
        elif text[error.pos : error.pos + 1] == "'":
            why = _("use double quotes.")
        else:
            why = _("expected something else here.")
        return _("Line %(line)s, column %(column)s: %(why)s", line=error.lineno, column=error.colno, why=why)
    except ValueError:  # nested too deeply, or a number of thousands of digits
        return _("Give a JSON object: names and values in braces.")
    return "" if isinstance(value, dict) else _("Give a JSON object: names and values in braces.")


def _name(text: str, vendor: Vendor) -> str:
    return "" if 1 <= len(text) <= 50 else _("Give a name of 1 to 50 characters.")


def _address(text: str, vendor: Vendor) -> str:
    if not text:
        return _("This provider needs an address.") if vendor.needs_base_url else ""
    return _("Give an address that begins with http:// or https://.") if address(text) else ""


# What is looked at as soon as a field is left, and again when all is sent.
CHECKS: dict[str, Callable[[str, Vendor], str]] = {
    "name": _name,
    "base_url": _address,
    "model_mapping": lambda text, vendor: json_complaint(text),
    "parameters": lambda text, vendor: json_complaint(text),
}
