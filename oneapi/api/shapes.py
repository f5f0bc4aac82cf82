"""What rows look like on the wire: one list of fields per noun. Nothing secret is in any of them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from oneapi.actions.channels import secret_names
from oneapi.models.channel import Channel
from oneapi.models.log import Log
from oneapi.models.redemption import Redemption
from oneapi.models.token import Token
from oneapi.models.user import User

Get = Callable[[Any], Any]


def _value(name: str, zero: Any) -> Get:
    """A column whose NULL shows as zero."""
    return lambda row: value if (value := getattr(row, name)) is not None else zero


def _whole(*names: str) -> dict[str, Get]:
    return {name: _value(name, 0) for name in names}


def _text(*names: str) -> dict[str, Get]:
    return {name: _value(name, "") for name in names}


def _optional(*names: str) -> dict[str, Get]:
    """Columns that the old project kept as pointers: NULL shows as null."""
    return {name: _value(name, None) for name in names}


def _blank(*names: str) -> dict[str, Get]:
    """Names that clients expect and that never hold anything."""
    return {name: lambda row: "" for name in names}


def _config(row: Channel) -> str:
    shown = {k: v for k, v in row.settings().items() if k not in secret_names(row.type)}
    return json.dumps(shown, ensure_ascii=False) if shown else ""


CHANNEL: dict[str, Get] = {
    **_whole("id", "type"), **_blank("key"), **_whole("status"), **_text("name"), **_optional("weight"),
    **_whole("created_time", "test_time", "response_time"), **_optional("base_url", "other"),
    "balance": _value("balance", 0.0), **_whole("balance_updated_time"), **_text("models", "group"), **_whole("used_quota"),
    **_optional("model_mapping", "priority"), "config": _config, **_optional("system_prompt"),
    **_text("tag", "remark", "balance_currency", "status_reason", "test_model", "parameters"), **_whole("status_time"),
}  # fmt: skip

TOKEN: dict[str, Get] = {
    **_whole("id", "user_id"), **_text("key"), **_whole("status"), **_text("name"),
    **_whole("created_time", "accessed_time", "expired_time", "remain_quota"),
    "unlimited_quota": lambda row: bool(row.unlimited_quota), **_whole("used_quota"), **_optional("models", "subnet"),
    **_whole("requests_per_minute", "tokens_per_minute", "concurrency"),
}  # fmt: skip

USER: dict[str, Get] = {
    **_whole("id"), **_text("username"), **_blank("password"), **_text("display_name"), **_whole("role", "status"),
    **_text("email", "github_id", "wechat_id", "lark_id", "oidc_id"), **_blank("verification_code"),
    **_whole("quota", "used_quota", "request_count"), **_text("group", "aff_code"), **_whole("inviter_id"),
}  # fmt: skip

REDEMPTION: dict[str, Get] = {
    **_whole("id", "user_id"), **_text("key"), **_whole("status"), **_text("name"),
    **_whole("quota", "created_time", "redeemed_time"), "count": lambda row: 0, **_whole("redeemed_by"),
    "expired_time": _value("expired_time", -1),
}  # fmt: skip

LOG: dict[str, Get] = {
    **_whole("id", "user_id", "created_at", "type"), **_text("content", "username", "token_name", "model_name"),
    **_whole("quota", "prompt_tokens", "completion_tokens"), "channel": _value("channel_id", 0), **_text("request_id"),
    **_whole("elapsed_time"), "is_stream": lambda row: bool(row.is_stream),
    "system_prompt_reset": lambda row: bool(row.system_prompt_reset), "detail": lambda row: _detail(row),
}  # fmt: skip


def _detail(row: Log) -> Any:
    try:
        return json.loads(row.detail) if row.detail else None
    except ValueError:
        return None


def _shown(shape: Mapping[str, Get], row: Any) -> dict[str, Any]:
    return {name: get(row) for name, get in shape.items()}


def channel(row: Channel) -> dict[str, Any]:
    return _shown(CHANNEL, row)


def token(row: Token, leased: int = 0) -> dict[str, Any]:
    """A token; what workers hold of its budget and have not spent is still its own."""
    shown = _shown(TOKEN, row)
    return shown | {"remain_quota": shown["remain_quota"] + leased}


def person(row: User, leased: int = 0) -> dict[str, Any]:
    """A user, with what workers hold of the balance and have not spent."""
    shown = _shown(USER, row)
    return shown | {"quota": shown["quota"] + leased}


def signed_in(row: User) -> dict[str, Any]:
    """What the answer to a sign-in says: a user of whom little is filled in."""
    return _partly(row, "id", "username", "display_name", "role", "status")


def role_and_status(row: User) -> dict[str, Any]:
    """What the answer to an act on a user says."""
    return _partly(row, "role", "status")


def _partly(row: User, *names: str) -> dict[str, Any]:
    return {name: value if name in names else type(value)() for name, value in _shown(USER, row).items()}


def redemption(row: Redemption) -> dict[str, Any]:
    return _shown(REDEMPTION, row)


def log(row: Log) -> dict[str, Any]:
    return _shown(LOG, row)


def own_log(row: Log) -> dict[str, Any]:
    """A log row as its owner sees it: without its id, and without which channels were tried."""
    shown = _shown(LOG, row) | {"id": 0}
    if isinstance(shown["detail"], dict):
        shown["detail"] = {k: v for k, v in shown["detail"].items() if k != "attempts"}
    return shown
