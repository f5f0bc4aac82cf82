"""Channels as a list of plain values, to take them from one installation to another."""

import json
from collections.abc import Mapping
from typing import Any

from oneapi.actions import SYSTEM, channels
from oneapi.models import channel
from oneapi.models.channel import Channel, Status
from oneapi.state import State


def exported(state: State, *, with_keys: bool) -> list[dict[str, Any]]:
    """Every channel; without keys, nothing secret is in it."""
    with state.databases.transaction() as session:
        return [_values(row, with_keys) for row in channel.every(session)]


def _values(row: Channel, with_keys: bool) -> dict[str, Any]:
    values = {n: v for n in channels.WRITABLE if n != "key" and (v := getattr(row, n)) not in (None, "")}
    if with_keys:
        return values | {"key": row.plain_key() or ""}
    secret = channels.secret_names(row.type)
    kept = {name: value for name, value in row.settings().items() if name not in secret}
    return values | ({"config": json.dumps(kept, ensure_ascii=False)} if row.config else {})


def take_in(state: State, values: Mapping[str, Any], *, replace: bool) -> None:
    """Add one channel, or change the one of the same name and type; raises Refused or Invalid when it does not pass."""
    given = {name: value for name, value in values.items() if name in channels.WRITABLE}
    same = None
    if replace:
        with state.databases.transaction() as session:
            same = channel.by_name(session, str(given.get("name") or ""), given.get("type") or 0)
    if same is None:
        channels.create(state, SYSTEM, given, each_line=False)
        return
    if given.get("status") not in (same.status, Status.ENABLED, Status.DISABLED):
        given.pop("status", None)
    channels.update(state, SYSTEM, same.id, given)
