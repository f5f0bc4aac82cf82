"""Channels: adding, changing, removing, testing them, and asking what is left on their accounts."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from oneapi import addresses, fields, notify, vendors
from oneapi.actions import Actor, act, channel_keys, columns, record, write_log
from oneapi.actions.channel_keys import secret_names
from oneapi.db import Session
from oneapi.messages import Refused
from oneapi.models import ability, channel, log
from oneapi.models.channel import Channel, Status
from oneapi.relay import health, probe
from oneapi.snapshot import lane
from oneapi.state import State
from oneapi.vendors.contract import Vendor
from oneapi.wire import VendorError

# What a person may say of a channel; the rest is measured.
WRITABLE = (
    "type", "key", "status", "name", "weight", "base_url", "other", "models", "group", "model_mapping", "priority", "config",
    "system_prompt", "tag", "remark", "test_model", "parameters",
)  # fmt: skip
JSON_COLUMNS = ("model_mapping", "config", "parameters")
SHORT = "余额不足"  # why a channel was disabled whose account is empty
LIST_LENGTHS = {"models": 191, "group": 64}  # characters of each name, as the table of abilities holds them
LENGTHS = {"name": 191, "base_url": 191, "tag": 64, "test_model": 191}


def create(state: State, actor: Actor, values: Mapping[str, Any], *, each_line: bool = True, numbered: bool = False) -> list[int]:
    """Add a channel for every line of `key`, or one that takes turns with them; returns the ids. `numbered`: name-1, name-2 …"""
    text = str(values.get("key") or "").strip()
    keys = [line.strip() for line in text.splitlines() if line.strip()] if each_line and "{" not in text else [text]
    kind = _vendor(values.get("type") or 0)
    if not any(keys) and not _keyless(kind):
        raise Refused("channel_key_missing", field="key")
    names = [f"{values.get('name')}-{n}" for n in range(1, len(keys) + 1)] if numbered and len(keys) > 1 else []
    rows = [
        Channel(**_checked(state, dict(values) | own, kind), created_time=int(state.clock())) for own in _own(keys or [""], names)
    ]
    with act(state, "channels") as session:
        session.add_all(rows)
        session.flush()
        ability.rebuild(session, rows)
        for row in rows:
            record(session, state, actor, "channel.create", row.id, after=_shown(row))
    return [row.id for row in rows]


def _own(keys: list[str], names: list[str]) -> Iterator[dict[str, str]]:
    """What each of several channels has to itself."""
    for number, key in enumerate(keys):
        yield {"key": key} | ({"name": names[number]} if names else {})


def _keyless(vendor: Vendor) -> bool:
    """Whether this type's credentials may stand in its own fields, or it needs none (a server of one's own)."""
    return (
        vendor.needs_base_url or bool(vendor.key_parts) or any(f.secret for f in vendor.fields) or "localhost" in vendor.base_url
    )


def _vendor(type: int) -> Vendor:
    vendor = vendors.REGISTRY.get(type)
    if vendor is None:
        raise Refused("channel_type", field="type", type=type)
    return vendor


def _shown(row: Channel) -> dict[str, Any]:
    return {name: value for name, value in columns(row).items() if name in WRITABLE}


def update(state: State, actor: Actor, id: int, values: Mapping[str, Any]) -> Channel:
    """Change what `values` names; an empty key keeps the old one, and secrets left out of `config` stay.

    Raises Refused when an administrator changes the address and leaves out the key: see channel_keys.py.
    """
    with act(state, "channels") as session:
        row = channel.get(session, id)
        before = _shown(row)
        wanted = {name: value for name, value in values.items() if name in WRITABLE}
        if not wanted.get("key"):
            wanted.pop("key", None)
        channel_keys.check(actor, before, wanted)
        if "config" in wanted and wanted.get("type", row.type) == row.type:
            wanted["config"] = _with_kept_secrets(row, wanted["config"])
        merged = before | wanted
        _check_numbers(wanted)
        if set(wanted) - {"status", "priority", "weight"}:  # an old channel that no longer passes can still be switched off
            merged = _checked(state, merged, _vendor(merged["type"]))
        _change(state, row, {name: merged[name] for name in wanted}, before)
        session.flush()
        ability.rebuild(session, [row])
        record(session, state, actor, "channel.update", id, before=before, after=_shown(row))
        session.refresh(row)
    return row


def _with_kept_secrets(row: Channel, config: str | None) -> str:
    """The new config with the old one's secrets where it does not mention them: they are never sent out."""
    new = channel.json_object(config)
    kept = {k: v for k, v in row.settings().items() if k in secret_names(row.type) and k not in new}
    return json.dumps(kept | new, ensure_ascii=False) if kept or new else str(config or "")


def _change(state: State, row: Channel, values: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    if values.get("status", before["status"]) != before["status"]:
        if values["status"] not in (Status.ENABLED, Status.DISABLED):
            raise Refused("channel_status", field="status", status=values["status"])
        row.status_reason, row.status_time = None, int(state.clock())
    for name, value in values.items():
        setattr(row, name, value)


def _checked(state: State, values: Mapping[str, Any], vendor: Vendor) -> dict[str, Any]:
    """The values as they are stored; raises Refused or Invalid with what to mend."""
    made = {name: value for name, value in values.items() if name in WRITABLE}
    made["status"] = made.get("status") or Status.ENABLED
    for name, most in LIST_LENGTHS.items():
        found = channel.split(made.get(name))
        if any(len(each) > most for each in found):
            raise Refused("channel_field", field=name, complaint=f"≤ {most}")
        made[name] = ",".join(found)
    made["group"] = made["group"] or "default"
    for name, most in LENGTHS.items():
        if len(made.get(name) or "") > most:
            raise Refused("channel_field", field=name, complaint=f"≤ {most}")
    for name in JSON_COLUMNS:
        _check_json(name, made.get(name))
    made["base_url"] = (made.get("base_url") or "").strip().rstrip("/")
    _check_address(state, made["base_url"], vendor)
    _check_numbers(made)
    _check_fields(vendor, channel.json_object(made.get("config")))
    return made


def _check_json(name: str, text: str | None) -> None:
    try:
        found = fields.parsed(text) if text and text.strip() else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Refused("channel_json", field=name)


def _check_address(state: State, base_url: str, vendor: Vendor) -> None:
    if not base_url:
        if vendor.needs_base_url:
            raise Refused("channel_base_url_missing", field="base_url")
        return
    if fields.address(base_url):
        raise Refused("channel_address", field="base_url")
    if not state.settings.private_networks_enabled and _private(urlsplit(base_url).hostname or ""):
        raise Refused("private_address", field="base_url")


def _private(host: str) -> bool:
    """Whether a host is written so that it can only be private; where a name leads is checked when it is connected to."""
    found = addresses.literal(host)
    return fields.is_private_host(host) if found is None else not addresses.permitted(found, allow_private=False)


def _check_numbers(values: dict[str, Any]) -> None:
    for name, least in (("weight", 0), ("priority", -fields.MOST)):
        value = values.get(name) or 0
        if not least <= value <= fields.MOST:
            complaint = f"≥ {least}" if value < least else f"≤ {fields.MOST}"
            raise Refused("channel_field", field=name, complaint=complaint)


def _check_fields(vendor: Vendor, config: Mapping[str, Any]) -> None:
    """The answers to the vendor's own questions; other keys of the config stay as they are."""
    fields.from_json(vendor.fields, {k: v for k, v in config.items() if v not in ("", None)})


def delete(state: State, actor: Actor, ids: Iterable[int]) -> int:
    """Remove channels with their abilities; returns how many there were."""
    with act(state, "channels") as session:
        return _delete(session, state, actor, list(ids))


def _delete(session: Session, state: State, actor: Actor, ids: list[int]) -> int:
    for id in ids:
        row = session.get(Channel, id)
        if row is not None:
            record(session, state, actor, "channel.delete", id, before=_shown(row))
    ability.forget(session, ids)
    return channel.remove(session, ids)


def delete_disabled(state: State, actor: Actor) -> int:
    with act(state, "channels") as session:
        rows = channel.with_status(session, Status.DISABLED, Status.AUTO_DISABLED)
        return _delete(session, state, actor, [row.id for row in rows])


# Asking the vendor


def test(state: State, id: int, *, model: str = "", kind: str = "", stream: bool = False) -> probe.Result:
    """Test one channel; the time it took and a log row stay. Its status does not change."""
    try:
        result = probe.test(state, id, model=model, kind=kind, stream=stream)
    except VendorError as error:
        result = probe.Result(False, error.message or error.kind, 0.0, model, error.kind, error.status)
    with state.databases.transaction() as session:
        row = session.get(Channel, id)
        name = (row.name or "") if row is not None else ""
        if row is not None:
            tests = ((row.tests or "") + ("1" if result.ok else "0"))[-20:]
            channel.note(session, id, test_time=int(state.clock()), response_time=round(result.seconds * 1000), tests=tests)
        said = f"测试成功，响应：{result.message}" if result.ok else f"测试失败，错误：{result.message}"
        more = {"channel_id": id, "model_name": result.model[:191], "elapsed_time": round(result.seconds * 1000)}
        write_log(session, state, log.Kind.TEST, f"渠道 {name} {said}", user_id=0, **more)
    return result


def judge(state: State, row: Channel, result: probe.Result) -> str:
    """Draw the consequences of a scheduled test; returns disabled, enabled, slow or ""."""
    now, name = state.settings, row.name or ""
    limit = now.channel_disable_threshold
    slow = result.ok and 0 < limit < result.seconds
    reason = f"响应时间 {result.seconds:.2f}s 超过阈值 {limit:.2f}s" if slow else result.message
    if row.status == Status.ENABLED:
        if (slow or (not result.ok and result.kind in ("auth", "quota"))) and now.automatic_disable_channel_enabled:
            if health.set_status(state, row.id, Status.ENABLED, Status.AUTO_DISABLED, reason):
                notify.channel_disabled(state, row.id, name, reason)
                return "disabled"
        elif slow:
            notify.channel_slow(state, row.id, name, reason)
            return "slow"
    recovered = row.status == Status.AUTO_DISABLED and result.ok and not slow and now.automatic_enable_channel_enabled
    if recovered and health.set_status(state, row.id, Status.AUTO_DISABLED, Status.ENABLED, ""):
        notify.channel_enabled(state, row.id, name)
        return "enabled"
    return ""


def refresh_balance(state: State, id: int) -> float:
    """Ask the vendor what is left on a channel's account and keep it; raises VendorError."""
    with state.databases.transaction() as session:
        channel.get(session, id)
    amount, currency = probe.balance(state, id)
    with state.databases.transaction() as session:
        channel.note(session, id, balance=amount, balance_currency=currency[:8], balance_updated_time=int(state.clock()))
    return amount


def check_balance(state: State, row: Channel, left: float) -> bool:
    """Disable a channel whose account is empty, if that is wanted; True when it was."""
    now = state.settings
    if not now.automatic_disable_channel_enabled or left > now.channel_balance_threshold:
        return False
    if not health.set_status(state, row.id, Status.ENABLED, Status.AUTO_DISABLED, SHORT):
        return False
    notify.channel_disabled(state, row.id, row.name or "", SHORT)
    return True


def still_short(state: State, row: Channel) -> bool:
    """Whether a channel was disabled for an empty account that is empty still: a test may succeed all the same."""
    if row.status != Status.AUTO_DISABLED or row.status_reason != SHORT:
        return False
    try:
        return refresh_balance(state, row.id) <= state.settings.channel_balance_threshold
    except VendorError:
        return True


def fetch_models(state: State, actor: Actor, id: int) -> list[str]:
    """The models that a channel's key can really use; raises VendorError. Leaves an audit row."""
    with act(state) as session:
        found = channel.get(session, id)
        record(session, state, actor, "channel.fetch_models", id, after={"base_url": found.base_url or ""})
    return sorted(set(probe.models(state, id)))


def models_for(state: State, actor: Actor, values: Mapping[str, Any]) -> list[str]:
    """The models that a channel with these values could use, before it is stored; raises Refused, Invalid or VendorError.

    Leaves an audit row.
    """
    row = Channel(**_checked(state, {"models": "", "group": "default"} | dict(values), _vendor(values.get("type") or 0)), id=0)
    ready = lane(row, state.config)
    if ready is None:
        raise Refused("channel_type", field="type", type=row.type)
    with act(state) as session:
        record(session, state, actor, "channel.fetch_models", "", after={"type": row.type, "base_url": row.base_url or ""})
    return sorted(set(probe.models(state, 0, lane=ready)))
