"""Destination of stored channel keys: a key goes only to the address it was stored for, unless root says otherwise."""

from collections.abc import Mapping
from typing import Any

from oneapi import vendors
from oneapi.actions import Actor
from oneapi.messages import Refused
from oneapi.models import channel
from oneapi.models.user import Role

# Config names that cannot change the host of a request. Every other name that is not a credential counts as an address.
HARMLESS = {
    "api", "api_version", "appid", "auth", "header", "library_id", "plugin", "remove_dots", "safety", "style", "user_id",
    "vertex_ai_project_id", "workspace",
}  # fmt: skip


def secret_names(type: int) -> set[str]:
    """Return the config names of a channel type that are credentials."""
    vendor = vendors.REGISTRY.get(type)
    if vendor is None:
        return set()
    open_ = {f.stored_as for f in vendor.fields if not f.secret}
    return {f.stored_as for f in vendor.fields if f.secret} | (set(vendor.key_parts) - open_)


def check(actor: Actor, before: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise Refused when an administrator sends a stored key to another address without entering it again.

    `before` is the channel that the key was stored for; `wanted` names what changes, before kept secrets are added to it.
    """
    moved = [name for name in destination(before) if destination(before)[name] != destination({**before, **wanted})[name]]
    if actor.role < Role.ROOT and moved and _keeps_credentials(before, wanted):
        raise Refused("channel_key_again", field="key", what=", ".join(moved))


def destination(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides where a channel sends its key, by the name that people know it by."""
    type = values.get("type") or 0
    vendor = vendors.REGISTRY.get(type)
    config = channel.json_object(values.get("config"))
    other = {k: v for k, v in config.items() if k not in HARMLESS | {"proxy"} | secret_names(type) and v not in ("", None, False)}
    base_url = str(values.get("base_url") or (vendor.base_url if vendor else "")).strip().rstrip("/")
    return {"type": type, "base_url": base_url, "proxy": str(config.get("proxy") or "").strip(), "config": other}


def _keeps_credentials(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return True when a credential of the old channel stays in use."""
    if before.get("key") and not wanted.get("key"):
        return True
    kept = channel.json_object(before.get("config"))
    given = channel.json_object(wanted["config"]) if "config" in wanted else {}
    names = secret_names(before.get("type") or 0) | secret_names(wanted.get("type") or before.get("type") or 0)
    stays = wanted.get("type", before.get("type")) == before.get("type") or "config" not in wanted
    return stays and any(kept.get(name) and not given.get(name) for name in names)
